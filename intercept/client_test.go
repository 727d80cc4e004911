package intercept

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// client reaches the room as through an API server's proxy to the node.
func (r *rig) client() Client {
	r.Helper()
	server := httptest.NewServer(http.StripPrefix("/api/v1/nodes/n1/proxy", r.room.Handler()))
	r.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		r.Fatal(err)
	}
	return Client{client.CoreV1().RESTClient(), "n1"}
}

func TestAnInterceptLastsAsLongAsItsRequest(t *testing.T) {
	process := lines(t, "process", "127.0.0.1:0")
	r := newRig(t, lines(t, "pod", "127.0.0.1:0"))
	c := r.client()
	request := Request{"default", "web", "http", process.Addr().String(), nil}
	s, err := c.Start(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if s.First().State != ToProcess || s.First().Intercept.PortName != "http" {
		t.Errorf("it begins with %+v", s.First())
	}
	r.answered("process")
	if all, err := c.List(t.Context()); err != nil || len(all) != 1 || all[0].String() != s.First().Intercept.String() {
		t.Errorf("listed: %v, %v", all, err)
	}
	process.Close()
	r.answered("pod")
	if e, err := s.Next(); err != nil || e.State != ToPods {
		t.Errorf("told %+v, %v", e, err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, redirected := r.kernel.leads(webPort); redirected {
		t.Error("it is still redirected after Close")
	}
	if _, err := c.Start(t.Context(), Request{"default", "web", "dns", "localhost:1", nil}); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "no other protocol") {
		t.Errorf("UDP: %v", err)
	}

	// The process of the command is killed: nothing is said, the connection breaks.
	ctx, kill := context.WithCancel(t.Context())
	if s, err = c.Start(ctx, request); err != nil {
		t.Fatal(err)
	}
	kill()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}

	// The room ends.
	if s, err = c.Start(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	defer s.Cancel()
	r.stop()
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the room is %v", err)
	}
}

func TestAKubeletHasNoIntercepts(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	c := Client{client.CoreV1().RESTClient(), "n1"}
	if _, err := c.List(t.Context()); !apierrors.IsNotFound(errors.Unwrap(err)) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Start(t.Context(), Request{"default", "web", "", "localhost:1", nil}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}
