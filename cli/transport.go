package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// effects are those of the requests of one run of kubectl.
type effects struct {
	mu   sync.Mutex
	gone []part // what was deleted with something else
}

// transport makes a run see its own effects: a CustomResourceDefinition that was
// sent is served when its request returns, and what went with its definition or its
// namespace counts as deleted.
type transport struct {
	next http.RoundTripper
	*effects
}

// wrap is a transport.WrapperFunc.
func (e *effects) wrap(next http.RoundTripper) http.RoundTripper { return &transport{next, e} }

const (
	definitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	namespacesPath  = "/api/v1/namespaces/"
)

// part is what all paths have in common that lead to the objects of a kind, or to
// those of a namespace.
type part struct{ group, resource string }

// RoundTrip is http.RoundTripper's.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	switch {
	case err != nil:
	case r.Method == http.MethodDelete:
		return t.deleted(r, response)
	case response.StatusCode < 300 && r.Method != http.MethodGet && strings.HasPrefix(r.URL.Path, definitionsPath):
		return response, t.awaitServed(r, response)
	}
	return response, err
}

// established bounds the wait for a definition. One that is not served by then has
// something wrong with it: what the server says of its objects follows.
const (
	established      = 10 * time.Second
	establishedEvery = 20 * time.Millisecond
)

// awaitServed returns when the kind that a response defines is served in all its
// versions.
func (t *transport) awaitServed(r *http.Request, response *http.Response) error {
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(text))
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err != nil || json.Unmarshal(text, crd) != nil || r.URL.Query().Has("dryRun") {
		return err
	}
	for _, v := range crd.Spec.Versions {
		if v.Served {
			_ = wait.PollUntilContextTimeout(r.Context(), establishedEvery, established, true, func(ctx context.Context) (bool, error) {
				return t.serves(ctx, r, "/apis/"+crd.Spec.Group+"/"+v.Name+"/"+crd.Spec.Names.Plural)
			})
		}
	}
	return nil
}

// serves tells whether there is something at a path, whoever may see it.
func (t *transport) serves(ctx context.Context, like *http.Request, path string) (bool, error) {
	ask := like.Clone(ctx)
	ask.Method, ask.Body, ask.GetBody, ask.ContentLength = http.MethodGet, nil, nil, 0
	ask.URL.Path, ask.URL.RawQuery = path, "limit=1"
	response, err := t.next.RoundTrip(ask)
	if err != nil {
		return false, err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode != http.StatusNotFound, response.Body.Close()
}

// deleted remembers what goes with a deleted object, and takes "not found" for
// success where the object went that way.
func (t *transport) deleted(r *http.Request, response *http.Response) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if response.StatusCode < 300 {
		if name, ok := strings.CutPrefix(r.URL.Path, definitionsPath+"/"); ok {
			plural, group, _ := strings.Cut(name, ".")
			t.gone = append(t.gone, part{"/apis/" + group + "/", "/" + plural + "/"})
		} else if name, ok := strings.CutPrefix(r.URL.Path, namespacesPath); ok && !strings.Contains(name, "/") {
			t.gone = append(t.gone, part{"", "/namespaces/" + name + "/"})
		}
	}
	if response.StatusCode != http.StatusNotFound || !t.went(r.URL.Path) {
		return response, nil
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	text, err := json.Marshal(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
	response.Status, response.StatusCode = "200 OK", http.StatusOK
	response.Header.Set("Content-Type", "application/json")
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return response, err
}

func (t *transport) went(path string) bool {
	return slices.ContainsFunc(t.gone, func(p part) bool {
		return strings.HasPrefix(path, p.group) && strings.Contains(path, p.resource)
	})
}
