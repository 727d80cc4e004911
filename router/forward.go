package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
)

// ServeHTTP leads a request to where the table says. It is http.Handler's.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodConnect {
		fail(w, http.StatusMethodNotAllowed, "CONNECT is for proxies; this routes requests to Services")
		return
	}
	if isGRPC(req) {
		w = &trailersOnly{ResponseWriter: w}
	}
	t := r.table.Load()
	if len(t.gateways) > 0 && r.serveGateway(w, req, t) {
		return
	}
	to := t.find(req.Host, req.URL.Path)
	if to == nil {
		fail(w, http.StatusNotFound, noRoute(t, req))
		return
	}
	if to.secure && req.TLS == nil {
		// Method and body stay the same, as with ingress-nginx.
		w.Header().Set("Location", r.ports.Load().URL("https", hostname(req.Host))+req.URL.RequestURI())
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	if to.maxBody > 0 && req.Body != nil {
		if req.ContentLength > to.maxBody {
			fail(w, http.StatusRequestEntityTooLarge, tooLarge(to))
			return
		}
		req.Body = http.MaxBytesReader(w, req.Body, to.maxBody)
	}
	// Else Go's server would take the rest of the request's body away when the answer begins. HTTP/2 has no such rule, nor
	// this method.
	_ = http.NewResponseController(w).EnableFullDuplex()
	to.handler.ServeHTTP(w, req)
}

// noRoute says which hosts there are, since that is what a developer has mistyped.
func noRoute(t *table, req *http.Request) string {
	hosts := t.hosts()
	const most = 20
	if len(hosts) > most {
		hosts = append(hosts[:most:most], "…")
	}
	none := "no Ingress has a rule"
	if len(t.gateways) > 0 {
		none = "no Ingress and no Gateway has a route"
	}
	text := fmt.Sprintf("%s for the host %q and the path %q", none, hostname(req.Host), req.URL.Path)
	if !t.knows(req.Host) && len(hosts) > 0 {
		text += "; there are rules for " + strings.Join(hosts, ", ")
	}
	return text
}

func tooLarge(to *route) string {
	return fmt.Sprintf("%s takes bodies of at most %d bytes", to.owner, to.maxBody)
}

// fail answers in a sentence.
func fail(w http.ResponseWriter, code int, text string) {
	http.Error(w, "kube-lite: "+text, code)
}

// newHandler passes the requests of a route on. Nothing of a body is held back, in either direction.
func newHandler(to *route, log *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:       to.rewriteRequest,
		Transport:     to.backend,
		FlushInterval: -1,
		BufferPool:    &buffers,
		ErrorHandler:  to.failed,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// rewriteRequest makes of a request the one that the pod gets: the same, with the headers that say where it came from.
// What the client says in these headers is dropped: nobody stands before this proxy.
func (to *route) rewriteRequest(p *httputil.ProxyRequest) {
	p.Out.URL.RawQuery = p.In.URL.RawQuery // as it came, also where Go would not parse it
	p.Out.Host = p.In.Host
	p.SetXForwarded()
	client, _, _ := net.SplitHostPort(p.In.RemoteAddr)
	p.Out.Header.Set("X-Real-Ip", client)
	if local, ok := p.In.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		p.Out.Header.Set("X-Forwarded-Port", strconv.Itoa(local.Port))
	}
	// A pod that changed to HTTP/2 would get requests that no route has seen.
	if strings.EqualFold(p.Out.Header.Get("Upgrade"), "h2c") {
		p.Out.Header.Del("Upgrade")
		p.Out.Header.Del("Connection")
	}
	p.Out.Header.Del("Http2-Settings")
	if to.rewrite != nil {
		to.rewrite.apply(p.Out.URL, to.path.expression)
	}
}

// failed answers a request that no pod has.
func (to *route) failed(w http.ResponseWriter, _ *http.Request, err error) {
	code := http.StatusBadGateway
	var timeout net.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, tooLarge(to))
		return
	case errors.Is(err, context.Canceled): // the client is gone
	case errors.Is(err, errNoEndpoints), to.backend.current.Load().problem != "":
		code = http.StatusServiceUnavailable
	case errors.As(err, &timeout) && timeout.Timeout():
		code = http.StatusGatewayTimeout
	}
	text := fmt.Sprintf("%s: %s: %v", to.owner, to.backend, err)
	if problem := to.backend.current.Load().problem; problem != "" {
		text = fmt.Sprintf("%s: %s", to.owner, problem)
	}
	fail(w, code, text)
}

// buffers are what bodies are copied through.
var buffers bufferPool

type bufferPool struct{ sync.Pool }

// bufferSize is io.Copy's.
const bufferSize = 32 << 10

// Get is httputil.BufferPool's.
func (p *bufferPool) Get() []byte {
	if b, ok := p.Pool.Get().(*[bufferSize]byte); ok {
		return b[:]
	}
	return make([]byte, bufferSize)
}

// Put is httputil.BufferPool's.
func (p *bufferPool) Put(b []byte) { p.Pool.Put((*[bufferSize]byte)(b)) }
