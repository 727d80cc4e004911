package runtime

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// hangingEngine is the machine's Docker Engine behind a proxy that swallows the creation of
// containers whose name has a certain part, until it is let go.
func hangingEngine(t *testing.T, part string) (host string, release func()) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	target := &httputil.ReverseProxy{
		Rewrite:       func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		FlushInterval: -1,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", "/var/run/docker.sock")
		}},
	}
	released := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		default:
			if strings.HasSuffix(r.URL.Path, "/containers/create") && strings.Contains(r.URL.RawQuery, part) {
				<-released
				panic(http.ErrAbortHandler) // what became of the request stays unknown
			}
		}
		target.ServeHTTP(w, r)
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(func() { release(); server.Close(); <-done })
	return "unix://" + socket, release
}

func TestCallThatHangsHoldsUpItsOwnPodOnly(t *testing.T) {
	r := newDockerRig(t)
	r.stop()
	host, release := hangingEngine(t, "k8s_slow_")
	through, err := docker.Connect(t.Context(), host, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { through.Close() })
	own := r.engine
	r.engine = through
	r.start()
	t.Cleanup(func() { r.stop(); r.engine = own })
	r.create("hangs", r.container("slow", "sleep"))
	r.create("other", r.container("app", "sleep"))
	r.await("other", "ready", ready)
	if ready(r.get("hangs")) {
		t.Fatal("the call did not hang")
	}
	release()
	r.restarted("hangs", 0)
	for _, name := range []string{"hangs", "other"} {
		r.markDeleted(name)
		r.await(name, "gone", gone)
	}
	r.nothingLeft()
}
