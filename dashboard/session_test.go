package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// A link is good for one session; the page says whose it is.
func TestLinkIsGoodOnce(t *testing.T) {
	r := newRig(t)
	base, code := r.link(t, "jane")
	login := client{base: base}
	body := fmt.Sprintf(`{"code": %q}`, code)
	var got struct {
		Token string `json:"token"`
	}
	login.ask(t, http.MethodPost, "/login", body, http.StatusOK, &got)
	login.ask(t, http.MethodPost, "/login", body, http.StatusUnauthorized, nil)
	login.ask(t, http.MethodPost, "/login", `{"code": ""}`, http.StatusUnauthorized, nil)
	login.ask(t, http.MethodPost, "/login", `{`, http.StatusBadRequest, nil)

	text := client{base, got.Token}.ask(t, http.MethodGet, "/session", "", http.StatusOK, nil)
	for _, want := range []string{`"user":"jane"`, `"groups":["people"]`, `"program":"kube-lite --name rig"`, `"instance":"rig"`, `"nodes":["one"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("the session lacks %s: %s", want, text)
		}
	}
}

// A link that nobody follows is no good after a while, and nobody listens then.
func TestLinkGrowsOld(t *testing.T) {
	r := newRig(t)
	r.limits.code = time.Millisecond
	r.link(t, "jane")
	eventually(t, "the end of the link", func() bool { return !r.isServed() })
	if len(r.released) > 0 {
		t.Errorf("a user was connected: %v", r.released)
	}
}

// However many links are asked for, few are kept.
func TestLinksAreBounded(t *testing.T) {
	r := newRig(t)
	for range maxCodes {
		r.link(t, "jane")
	}
	if _, err := r.Room.login(&user.DefaultInfo{Name: "jane"}, LoginRequest{}); !errors.Is(err, errMany) {
		t.Errorf("one more: %v", err)
	}
}

// What has no session is refused, whatever it asks for; the page itself is not.
func TestOnlySessionsAreServed(t *testing.T) {
	r := newRig(t)
	r.api.HandleFunc("/", func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") })
	base, _ := r.link(t, "jane")
	for _, token := range []string{"", "0123456789abcdef"} {
		for _, path := range []string{"/session", "/k8s/api/v1/pods", "/streams", "/why?path=/api/v1/nodes/one", "/objects?path=/api/v1/nodes/one", "/forwards"} {
			client{base, token}.ask(t, http.MethodGet, path, "", http.StatusUnauthorized, nil)
		}
		client{base, token}.ask(t, http.MethodPost, "/objects", "{}", http.StatusUnauthorized, nil)
	}
	client{base: base}.ask(t, http.MethodGet, "/", "", http.StatusOK, nil)
	client{base: base}.ask(t, http.MethodGet, "/assets/app.css", "", http.StatusOK, nil)
	client{base: base}.ask(t, http.MethodGet, "/assets/sources.sha256", "", http.StatusNotFound, nil)
}

// Sessions end when their user says so, and when nobody has used them for a while; with the last of them the listener goes.
func TestSessionsEnd(t *testing.T) {
	r := newRig(t)
	jane, john := r.login(t, "jane"), r.login(t, "john")
	jane.ask(t, http.MethodDelete, "/session", "", http.StatusOK, nil)
	jane.ask(t, http.MethodGet, "/session", "", http.StatusUnauthorized, nil)
	john.ask(t, http.MethodGet, "/session", "", http.StatusOK, nil)

	r.Room.mu.Lock()
	r.limits.idle = time.Millisecond // from the next request's end on
	r.Room.mu.Unlock()
	john.ask(t, http.MethodGet, "/session", "", http.StatusOK, nil)
	eventually(t, "the end of the listener", func() bool { return !r.isServed() })
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := strings.Join(r.released, " "); got != "jane john" {
		t.Errorf("released are %s", got)
	}
}

// A session that has a request under way is in use.
func TestRequestKeepsItsSession(t *testing.T) {
	r := newRig(t)
	began, finish := make(chan struct{}), make(chan struct{})
	r.api.HandleFunc("/api/v1/pods", func(http.ResponseWriter, *http.Request) {
		close(began)
		<-finish
	})
	jane := r.login(t, "jane")
	answered := make(chan int, 1)
	go func() {
		code, _, _ := do(t, jane.request(t, http.MethodGet, "/k8s/api/v1/pods", ""))
		answered <- code
	}()
	<-began
	r.expire(digestOf(jane.token)) // as the timer does
	if !r.isServed() {
		t.Error("the session has ended while it was used")
	}
	close(finish)
	if code := <-answered; code != http.StatusOK {
		t.Errorf("the answer is %d", code)
	}
	eventually(t, "the end of a session that nobody uses", func() bool {
		r.expire(digestOf(jane.token))
		return !r.isServed()
	})
}

// The page is at one address; what asks for another port learns where it is.
func TestPort(t *testing.T) {
	r := newRig(t)
	r.login(t, "jane")
	req := httptest.NewRequest(http.MethodPost, "/kube-lite/dashboard", strings.NewReader(`{"port": 1}`))
	req = req.WithContext(genericapirequest.WithUser(req.Context(), &user.DefaultInfo{Name: "john"}))
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	_, port, _ := strings.Cut(r.address, ":")
	if want := "the page is served at port " + port + " already"; w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), want) {
		t.Errorf("it says %d %s, want %s", w.Code, w.Body, want)
	}
}
