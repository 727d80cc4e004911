package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// memoryKey is that of the mark of requests that came through memory.
type memoryKey struct{}

// markInMemory marks the requests of a connection from within this process.
func markInMemory(ctx context.Context) context.Context {
	return context.WithValue(ctx, memoryKey{}, true)
}

func inMemory(ctx context.Context) bool { return ctx.Value(memoryKey{}) != nil }

// offer adds the group to what api answers at /apis while nothing of it is served, so that clients know its kinds.
func (g *gatewayAPI) offer(api http.Handler) http.Handler {
	offered := sync.OnceValues(offeredGroup)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apis" || r.Method != http.MethodGet || !g.absent.Load() || inMemory(r.Context()) {
			api.ServeHTTP(w, r)
			return
		}
		group, err := offered()
		if err != nil {
			g.custom.server.cfg.Log.Error("Gateway API is not offered", "error", err)
			api.ServeHTTP(w, r)
			return
		}
		asked := r.Clone(r.Context())
		asked.Header.Set("Accept", acceptJSON(r.Header.Get("Accept")))
		asked.Header.Del("Accept-Encoding")
		tag := r.Header.Get("If-None-Match")
		asked.Header.Del("If-None-Match")
		if strings.Contains(tag, offeredTag) { // any other is of an answer without the group, which is not current
			asked.Header.Set("If-None-Match", strings.Replace(tag, offeredTag, "", 1))
		}
		answer := &heldAnswer{header: http.Header{}, code: http.StatusOK}
		api.ServeHTTP(answer, asked)
		answer.add(group)
		maps.Copy(w.Header(), answer.header)
		w.WriteHeader(answer.code)
		_, _ = w.Write(answer.body.Bytes())
	})
}

// acceptJSON leaves of the forms that a client takes those that are JSON.
func acceptJSON(accept string) string {
	forms := slices.DeleteFunc(strings.Split(accept, ","), func(form string) bool {
		return !strings.HasPrefix(strings.TrimSpace(form), "application/json")
	})
	if len(forms) == 0 {
		return "application/json"
	}
	return strings.Join(forms, ",")
}

// offeredTag is in the tag of an answer to which the group was added.
const offeredTag = "-gateway-api"

// heldAnswer is an answer that is not sent yet.
type heldAnswer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header is http.ResponseWriter's.
func (a *heldAnswer) Header() http.Header { return a.header }

// WriteHeader is http.ResponseWriter's.
func (a *heldAnswer) WriteHeader(code int) { a.code = code }

// Write is http.ResponseWriter's.
func (a *heldAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// add puts the group into a list of groups; any other answer stays as it is.
func (a *heldAnswer) add(group *offeredLists) {
	if tag := a.header.Get("ETag"); tag != "" {
		a.header.Set("ETag", `"`+strings.Trim(tag, `"`)+offeredTag+`"`)
	}
	if a.code != http.StatusOK {
		return
	}
	var list map[string]json.RawMessage
	if json.Unmarshal(a.body.Bytes(), &list) != nil {
		return
	}
	for field, item := range map[string]json.RawMessage{"items": group.aggregated, "groups": group.plain} {
		var items []json.RawMessage
		if list[field] == nil || json.Unmarshal(list[field], &items) != nil {
			continue
		}
		list[field], _ = json.Marshal(append(items, item)) // of what was JSON before
	}
	whole, _ := json.Marshal(list)
	a.body.Reset()
	a.body.Write(whole)
	a.header.Del("Content-Length")
}

// offeredLists are the group as discovery lists it, in its two forms.
type offeredLists struct{ aggregated, plain json.RawMessage }

// offeredGroup is what our definitions will serve.
func offeredGroup() (*offeredLists, error) {
	raw, err := gatewayDefinitions()
	if err != nil {
		return nil, err
	}
	resources := map[string][]apidiscoveryv2.APIResourceDiscovery{}
	for _, r := range raw {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal(r, &crd); err != nil {
			return nil, fmt.Errorf("a definition of %s: %w", gatewayGroup, err)
		}
		for _, v := range crd.Spec.Versions {
			if v.Served {
				resources[v.Name] = append(resources[v.Name], offeredResource(&crd, v))
			}
		}
	}
	versions := slices.SortedFunc(maps.Keys(resources), func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	aggregated := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: gatewayGroup}}
	for _, v := range versions {
		aggregated.Versions = append(aggregated.Versions, apidiscoveryv2.APIVersionDiscovery{
			Version: v, Resources: resources[v], Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent,
		})
	}
	var lists offeredLists
	if lists.aggregated, err = json.Marshal(aggregated); err != nil {
		return nil, err
	}
	lists.plain, err = json.Marshal(apiGroup(gatewayGroup, versions))
	return &lists, err
}

// offeredResource is a kind as upstream's server of custom resources lists it.
func offeredResource(crd *apiextensionsv1.CustomResourceDefinition, v apiextensionsv1.CustomResourceDefinitionVersion) apidiscoveryv2.APIResourceDiscovery {
	names := crd.Spec.Names
	kind := metav1.GroupVersionKind{Group: gatewayGroup, Version: v.Name, Kind: names.Kind}
	r := apidiscoveryv2.APIResourceDiscovery{
		Resource: names.Plural, ResponseKind: &kind, SingularResource: names.Singular, ShortNames: names.ShortNames, Categories: names.Categories,
		Scope: apidiscoveryv2.ScopeCluster,
		Verbs: []string{"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"},
	}
	if crd.Spec.Scope == apiextensionsv1.NamespaceScoped {
		r.Scope = apidiscoveryv2.ScopeNamespace
	}
	if v.Subresources != nil && v.Subresources.Status != nil {
		r.Subresources = []apidiscoveryv2.APISubresourceDiscovery{{Subresource: "status", ResponseKind: &kind, Verbs: []string{"get", "patch", "update"}}}
	}
	return r
}
