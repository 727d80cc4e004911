package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/rest"
)

// waitLimit is how long a test waits for what must come.
const waitLimit = 20 * time.Second

// rig is a room over an API server of the test's own.
type rig struct {
	*Room
	api *http.ServeMux

	mu       sync.Mutex
	released []string // users
}

// newRig returns a room that runs until the test ends.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{api: http.NewServeMux()}
	api := httptest.NewServer(r.api)
	t.Cleanup(api.Close)
	r.Room = New(Options{
		Connect: func(u user.Info) (*rest.Config, func()) {
			return &rest.Config{Host: api.URL, BearerToken: "token-of-" + u.GetName()}, func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.released = append(r.released, u.GetName())
			}
		},
		About: func(context.Context) (About, error) { return About{Instance: "rig", Nodes: []string{"one"}}, nil },
		Log:   slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(waitLimit):
			t.Error("the room does not end")
		}
	})
	return r
}

// link asks for a login as the API server does.
func (r *rig) link(t *testing.T, as string) (base, code string) {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/kube-lite/dashboard", strings.NewReader(`{"program": "kube-lite --name rig"}`))
	req = req.WithContext(genericapirequest.WithUser(req.Context(), &user.DefaultInfo{Name: as, Groups: []string{"people"}}))
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	var login Login
	if err := json.Unmarshal(w.Body.Bytes(), &login); w.Code != http.StatusOK || err != nil {
		t.Fatalf("a login: %d %s", w.Code, w.Body)
	}
	base, code, _ = strings.Cut(login.URL, "/#login=")
	return base, code
}

// client is a page, which is logged in if it has a token.
type client struct{ base, token string }

func (r *rig) login(t *testing.T, as string) client {
	t.Helper()
	base, code := r.link(t, as)
	p := client{base: base}
	var got struct {
		Token string `json:"token"`
	}
	p.ask(t, http.MethodPost, "/login", fmt.Sprintf(`{"code": %q}`, code), http.StatusOK, &got)
	p.token = got.Token
	return p
}

// request makes one as the page does.
func (p client) request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, p.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	return req
}

// do returns status, header and body of an answer.
func do(t *testing.T, req *http.Request) (int, http.Header, string) {
	t.Helper()
	over := &http.Client{Timeout: waitLimit}
	defer over.CloseIdleConnections()
	response, err := over.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// ask requires a status, and decodes the answer if into is not nil.
func (p client) ask(t *testing.T, method, path, body string, want int, into any) string {
	t.Helper()
	got, _, text := do(t, p.request(t, method, path, body))
	if got != want {
		t.Fatalf("%s %s: %d %s, want %d", method, path, got, text, want)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return text
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitLimit); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, waitLimit)
		}
	}
}

// isServed tells whether the room listens.
func (r *rig) isServed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Room.mu.Lock()
	defer r.Room.mu.Unlock()
	return r.server != nil
}
