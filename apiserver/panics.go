package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	goruntime "runtime"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// handlerChain is the generic server's chain of filters, with the handling of panics inside it.
func handlerChain(api http.Handler, c *genericapiserver.Config) http.Handler {
	return genericapiserver.DefaultBuildHandlerChain(withPanicsAnswered(api), c)
}

// withPanicsAnswered answers a request whose handler panics with a Status: upstream's own filter panics once more after it
// has written its answer, which net/http then drops with the connection. A response that was begun is cut off as upstream
// does it.
func withPanicsAnswered(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := &begunWriter{ResponseWriter: w}
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if begun.begun || reason == http.ErrAbortHandler {
				panic(reason)
			}
			stack := make([]byte, stackSize)
			stack = stack[:goruntime.Stack(stack, false)]
			klog.ErrorS(nil, "apiserver panic'd", "method", r.Method, "URI", r.RequestURI, "panic", fmt.Sprint(reason), "stack", string(stack))
			err := apierrors.NewInternalError(errors.New(panicked))
			responsewriters.ErrorNegotiated(err, legacyscheme.Codecs, schema.GroupVersion{Version: "v1"}, w, r)
		}()
		handler.ServeHTTP(responsewriter.WrapForHTTP1Or2(begun), r)
	})
}

// panicked is what the client learns.
const panicked = "this request made the API server panic: its log has the details"

// stackSize is how much of a panic's stack is logged, as much as net/http does.
const stackSize = 64 << 10

// begunWriter knows whether a response was begun.
type begunWriter struct {
	http.ResponseWriter
	begun bool
}

var _ responsewriter.UserProvidedDecorator = &begunWriter{}

// Unwrap is responsewriter.UserProvidedDecorator's.
func (w *begunWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader is http.ResponseWriter's.
func (w *begunWriter) WriteHeader(code int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(code)
}

// Write is http.ResponseWriter's.
func (w *begunWriter) Write(data []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(data)
}
