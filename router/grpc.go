package router

import (
	"net/http"
	"strings"
)

// isGRPC tells whether a request is a call of gRPC.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
func isGRPC(req *http.Request) bool {
	return req.ProtoMajor == 2 && strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc")
}

// trailersOnly lets an answer of gRPC that is nothing but trailers stay so. Such a one has its status in the only block of
// headers that there is, and the end of the stream must come with that block. The standard library's proxy sends headers before
// it knows whether a body follows, if it is quick enough; then clients miss the trailers, and report an internal error instead
// of the status.
type trailersOnly struct {
	http.ResponseWriter
	whole bool // what was written is all that there will be
}

// WriteHeader is http.ResponseWriter's.
func (w *trailersOnly) WriteHeader(code int) {
	w.whole = w.Header().Get("Grpc-Status") != ""
	w.ResponseWriter.WriteHeader(code)
}

// FlushError is http.ResponseController's. The server sends what is whole when its handler returns.
func (w *trailersOnly) FlushError() error {
	if w.whole {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap is http.ResponseController's.
func (w *trailersOnly) Unwrap() http.ResponseWriter { return w.ResponseWriter }
