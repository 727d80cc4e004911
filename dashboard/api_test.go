package dashboard

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The API is asked as the session's user, with the page's request as it is.
func TestAPIIsAskedAsTheUser(t *testing.T) {
	r := newRig(t)
	r.api.HandleFunc("PATCH /apis/apps/v1/namespaces/shop/deployments/web", func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%s|%s|%s|%s|%s", req.Header.Get("Authorization"), req.Header.Get("Content-Type"), req.URL.RawQuery, req.Header.Get("Origin"), text)
	})
	for _, name := range []string{"jane", "john"} {
		user := r.login(t, name)
		req := user.request(t, http.MethodPatch, "/k8s/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=x&dryRun=All", `{"a": 1}`)
		req.Header.Set("Content-Type", "application/merge-patch+json")
		req.Header.Set("Origin", user.base)
		got, _, text := do(t, req)
		if want := "Bearer token-of-" + name + `|application/merge-patch+json|fieldManager=x&dryRun=All||{"a": 1}`; got != http.StatusConflict || text != want {
			t.Errorf("the API got %q and the page %d, want %q", text, got, want)
		}
	}
}

func TestPlaceOf(t *testing.T) {
	for _, path := range []string{
		"/api/v1/nodes/one", "/api/v1/namespaces/shop", "/api/v1/namespaces/shop/pods/web-0", "/apis/apps/v1/namespaces/shop/deployments/web",
		"/apis/example.com/v1/namespaces/shop/widgets/a.b", "/apis/storage.k8s.io/v1/storageclasses/standard",
	} {
		if p, err := placeOf(path); err != nil || p.String() != path {
			t.Errorf("%s: %v, %v", path, p, err)
		}
	}
	for _, path := range []string{
		"", "/", "/api", "/api/v1", "/api/v1/pods", "/version", "/apis/apps/v1", "/api/v1/namespaces/shop/pods/web-0/log", "/api/v1/namespaces/shop/pods/..",
		"/api/v1/namespaces/../secrets/x", "/api/v1/nodes/a?b", "/api//nodes/a", "/apis/apps/v1/namespaces/shop/deployments/a%2fb", "/api/v1/nodes/",
	} {
		if p, err := placeOf(path); err == nil {
			t.Errorf("%q is taken for %v", path, p)
		}
	}
}

// An error of a room's own has the form that the page reads, with the API's words.
func TestErrorsAreTheAPIs(t *testing.T) {
	r := newRig(t)
	r.api.HandleFunc("GET /api/v1/namespaces/shop/secrets/key", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusForbidden, `secrets "key" is forbidden`)
	})
	jane := r.login(t, "jane")
	text := jane.ask(t, http.MethodGet, "/objects?path=/api/v1/namespaces/shop/secrets/key", "", http.StatusForbidden, nil)
	if !strings.Contains(text, `secrets \"key\" is forbidden`) {
		t.Errorf("the page learns %s", text)
	}
	jane.ask(t, http.MethodGet, "/objects?path=/metrics", "", http.StatusBadRequest, nil)
	jane.ask(t, http.MethodGet, "/why?path=pod/x", "", http.StatusBadRequest, nil)
}
