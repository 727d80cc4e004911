package router

import (
	"net/http"
	"testing"
)

func TestRequestsAreRedirectedAndGoBack(t *testing.T) {
	w := newWorld(t)
	pod, process := w.pod("pod", nil), w.pod("process", nil)
	w.service("web", "", pod)
	w.service("other", "", pod)
	w.ingress(toAll("web.test", "web"))
	w.ingress(toAll("other.test", "other"))
	answers := func(host, want string) {
		t.Helper()
		if _, got := w.get("http://" + host); got != want {
			t.Errorf("%s is answered by %q, want %q", host, got, want)
		}
	}
	answers("web.test", "pod")
	w.must(w.router.Redirect(t.Context(), "default", "web", "http", process.Listener.Addr().String()))
	answers("web.test", "process")
	answers("other.test", "pod")
	w.slice("web", 1, w.pod("another pod", nil), true)
	answers("web.test", "process")
	w.must(w.router.Redirect(t.Context(), "default", "web", "http", ""))
	if _, got := w.get("http://web.test"); got == "process" {
		t.Error("the process still answers")
	}
	answers("other.test", "pod")
}

// Who is behind the address may be another one with the next connection.
func TestARedirectedRequestHasItsOwnConnection(t *testing.T) {
	w := newWorld(t)
	clients := make(chan string, 2)
	process := w.pod("process", func(_ http.ResponseWriter, r *http.Request) { clients <- r.RemoteAddr })
	w.service("web", "")
	w.ingress(toAll("web.test", "web"))
	w.must(w.router.Redirect(t.Context(), "default", "web", "http", process.Listener.Addr().String()))
	w.get("http://web.test")
	w.get("http://web.test")
	if first, second := <-clients, <-clients; first == second {
		t.Errorf("both requests came from %s", first)
	}
}
