package apiserver

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/kube-openapi/pkg/handler3"
)

func TestOpenAPIDocumentsAreListedWithATagToCacheThemBy(t *testing.T) {
	s := serve(t, t.TempDir())
	get := func(path string) *http.Response {
		t.Helper()
		w := httptest.NewRecorder()
		s.generic.Handler.NonGoRestfulMux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Result()
	}
	var list handler3.OpenAPIV3Discovery
	if err := json.NewDecoder(get("/openapi/v3").Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"api/v1", "apis/apps/v1", "version"} {
		tagged := list.Paths[path].ServerRelativeURL
		if !strings.HasPrefix(tagged, "/openapi/v3/"+path+"?hash=") {
			t.Errorf("the document of %s is at %q", path, tagged)
			continue
		}
		byTag := get(tagged)
		if byTag.StatusCode != http.StatusOK || !strings.Contains(byTag.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("GET %s answers %s, Cache-Control %q", tagged, byTag.Status, byTag.Header.Get("Cache-Control"))
		}
		plain := get("/openapi/v3/" + path)
		if plain.StatusCode != http.StatusOK || plain.Header.Get("Cache-Control") != "" {
			t.Errorf("GET %s without a tag answers %s, Cache-Control %q", path, plain.Status, plain.Header.Get("Cache-Control"))
		}
		stale := get("/openapi/v3/" + path + "?hash=0")
		if stale.StatusCode != http.StatusMovedPermanently || stale.Header.Get("Location") != tagged {
			t.Errorf("GET %s with an old tag answers %s to %q", path, stale.Status, stale.Header.Get("Location"))
		}
	}
	if one, again := documentsTag(), documentsTag(); one != again {
		t.Errorf("the tag is another one each time: %s, then %s", one, again)
	}
}

// A document that was forgotten comes back the same, byte by byte: clients
// have kept the first by its tag.
func TestAnOpenAPIDocumentIsMadeAnewTheSame(t *testing.T) {
	s := serve(t, t.TempDir())
	body := func() string {
		w := httptest.NewRecorder()
		s.generic.Handler.NonGoRestfulMux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi/v3/apis/apps/v1", nil))
		text, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := body()
	s.openAPI.documents.(*onDemand).drop()
	if again := body(); again != first || !strings.Contains(first, "io.k8s.api.apps.v1.Deployment") {
		t.Errorf("the document has %d bytes, then %d others", len(first), len(again))
	}
}

func TestWhatIsBuiltOnDemandIsForgottenWhenIdle(t *testing.T) {
	var built atomic.Int32
	o := &onDemand{idle: time.Hour, build: func() http.Handler { built.Add(1); return http.NotFoundHandler() }}
	ask := func() { o.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)) }
	ask()
	ask()
	if built.Load() != 1 {
		t.Fatalf("built %d times for two requests in a row", built.Load())
	}
	o.forget.Reset(0)
	for deadline := time.Now().Add(time.Minute); built.Load() == 1 && time.Now().Before(deadline); {
		ask()
		o.mu.Lock()
		o.forget.Reset(0)
		o.mu.Unlock()
	}
	if built.Load() == 1 {
		t.Error("idle, it is not forgotten")
	}
}
