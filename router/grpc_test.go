package router

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestTrailersOfGRPCThatComeAloneAreNotSentBeforeTheEnd(t *testing.T) {
	for _, c := range []struct {
		status string
		sent   bool
	}{{"5", false}, {"0", false}, {"", true}} {
		under := httptest.NewRecorder()
		w := &trailersOnly{ResponseWriter: under}
		if c.status != "" {
			w.Header().Set("Grpc-Status", c.status)
		}
		w.WriteHeader(http.StatusOK)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		if under.Flushed != c.sent {
			t.Errorf("status %q: sent at once: %t, want %t", c.status, under.Flushed, c.sent)
		}
	}
}

func TestIsGRPC(t *testing.T) {
	for _, c := range []struct {
		kind  string
		major int
		want  bool
	}{
		{"application/grpc", 2, true},
		{"application/grpc+proto", 2, true},
		{"application/grpc", 1, false},
		{"application/json", 2, false},
		{"", 2, false},
	} {
		req := &http.Request{ProtoMajor: c.major, Header: http.Header{"Content-Type": {c.kind}}}
		if got := isGRPC(req); got != c.want {
			t.Errorf("%q by HTTP/%d: %t", c.kind, c.major, got)
		}
	}
}
