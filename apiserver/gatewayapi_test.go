package apiserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

var updateData = flag.Bool("update", false, "make data/gateway-api.json.gz and data/gateway-api-lists.json of the module that conformance/gateway/go.mod names")

// moduleDefinitions are the definitions of the standard channel in the module, as one list.
func moduleDefinitions(t *testing.T) []byte {
	t.Helper()
	// The module of upstream's tests names the release; the one in go.mod is older, for its types alone.
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
	list.Dir = "../conformance/gateway"
	dir, err := list.Output()
	if err != nil || len(bytes.TrimSpace(dir)) == 0 {
		t.Skip("the module's sources are not on this machine: run go mod download in conformance/gateway;", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/standard/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("the module has no definitions where they were:", err)
	}
	slices.Sort(files)
	var all []json.RawMessage
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		one, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatal(file, err)
		}
		var head metav1.TypeMeta
		if err := json.Unmarshal(one, &head); err != nil {
			t.Fatal(file, err)
		}
		if head.Kind == "CustomResourceDefinition" {
			all = append(all, one)
		}
	}
	whole, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// offeredGroup is the file of what the definitions will serve.
func offeredGroup(t *testing.T, raw []json.RawMessage) []byte {
	t.Helper()
	resources := map[string][]apidiscoveryv2.APIResourceDiscovery{}
	for _, r := range raw {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal(r, &crd); err != nil {
			t.Fatal(err)
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
	var err error
	if lists.Aggregated, err = json.Marshal(aggregated); err != nil {
		t.Fatal(err)
	}
	if lists.Plain, err = json.Marshal(apiGroup(gatewayGroup, versions)); err != nil {
		t.Fatal(err)
	}
	file, err := json.Marshal(lists)
	if err != nil {
		t.Fatal(err)
	}
	return file
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

func TestGatewayDefinitionsAreTheModules(t *testing.T) {
	want := moduleDefinitions(t)
	if *updateData {
		var file bytes.Buffer
		w, err := gzip.NewWriterLevel(&file, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("data/gateway-api.json.gz", file.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		gatewayDefinitionsFile = file.Bytes()
		var all []json.RawMessage
		if err := json.Unmarshal(want, &all); err != nil {
			t.Fatal(err)
		}
		offeredListsFile = offeredGroup(t, all)
		if err := os.WriteFile("data/gateway-api-lists.json", offeredListsFile, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	definitions, err := gatewayDefinitions()
	if err != nil {
		t.Fatal(err)
	}
	if len(definitions) != gatewayKinds {
		t.Errorf("there are %d definitions; correct gatewayKinds", len(definitions))
	}
	if got, _ := json.Marshal(definitions); !bytes.Equal(got, want) {
		t.Error("data/gateway-api.json.gz differs from the module: make it anew as gatewayapi.go says")
	}
	if !bytes.Equal(offeredListsFile, offeredGroup(t, definitions)) {
		t.Error("data/gateway-api-lists.json is not what the definitions serve: make it anew as gatewayapi.go says")
	}
}

// gatewayClient asks as somebody outside the process does.
func gatewayClient(t *testing.T, s *testServer) (dynamic.Interface, *discovery.DiscoveryClient) {
	t.Helper()
	config := s.adminConfig(t)
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return objects, kinds
}

var gatewayClasses = schema.GroupVersionResource{Group: gatewayGroup, Version: "v1", Resource: "gatewayclasses"}

func TestDiscoveryOffersGatewayAPIBeforeItIsDefined(t *testing.T) {
	s := serve(t, t.TempDir())
	_, kinds := gatewayClient(t, s)
	offered := func() map[string][]string {
		t.Helper()
		_, lists, err := kinds.ServerGroupsAndResources()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string][]string{}
		for _, list := range lists {
			if strings.HasPrefix(list.GroupVersion, gatewayGroup+"/") {
				for _, r := range list.APIResources {
					all[list.GroupVersion] = append(all[list.GroupVersion], r.Name)
				}
				slices.Sort(all[list.GroupVersion])
			}
		}
		return all
	}
	before := offered()
	if !slices.Contains(before[gatewayGroup+"/v1"], "httproutes") {
		t.Fatalf("discovery lists %v", before)
	}
	if s.holds([]schema.GroupResource{definitionsResource}) {
		t.Error("discovery alone has the definitions stored")
	}
	inside, err := s.Client().Discovery().ServerGroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range inside.Groups {
		if g.Name == gatewayGroup {
			t.Error("the loops of this process are offered the group too")
		}
	}
	objects, _ := gatewayClient(t, s)
	if _, err := objects.Resource(gatewayClasses).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal("the first request:", err)
	}
	eventually(t, "discovery lists after as before", func() bool {
		got, _ := json.Marshal(offered())
		want, _ := json.Marshal(before)
		return bytes.Equal(got, want)
	})
}

func TestDiscoveryOffersGatewayAPIToClientsThatRememberItWithout(t *testing.T) {
	s := serve(t, t.TempDir())
	client, err := rest.HTTPClientFor(s.adminConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	groups := func(t *testing.T, tag string) (code int, current string, offered bool) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.adminConfig(t).Host+"/apis", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, answer.Header.Get("ETag"), bytes.Contains(body, []byte(gatewayGroup))
	}
	_, tag, _ := groups(t, "")
	if tag == "" {
		t.Fatal("discovery has no tag")
	}
	if code, _, _ := groups(t, tag); code != http.StatusNotModified {
		t.Errorf("what is remembered as offered is answered with %d", code)
	}
	without := strings.Replace(tag, offeredTag, "", 1) // as a daemon answers that does not offer the group
	code, again, offered := groups(t, without)
	if code != http.StatusOK || again != tag || !offered {
		t.Errorf("what is remembered without the group is answered with %d, tag %s (before %s), the group in it: %t", code, again, tag, offered)
	}
}

func TestFirstRequestDefinesGatewayAPI(t *testing.T) {
	s := serve(t, t.TempDir())
	objects, _ := gatewayClient(t, s)
	code := 0
	_ = s.Client().Discovery().RESTClient().Get().AbsPath("/apis/" + gatewayGroup + "/v1/gatewayclasses").Do(t.Context()).StatusCode(&code)
	if code != http.StatusNotFound || s.holds([]schema.GroupResource{definitionsResource}) {
		t.Errorf("a loop of this process gets %d, and definitions are stored: %t", code, s.holds([]schema.GroupResource{definitionsResource}))
	}
	class := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": gatewayGroup + "/v1", "kind": "GatewayClass", "metadata": map[string]any{"name": "x"},
		"spec": map[string]any{"controllerName": "example.com/x"},
	}}
	if _, err := objects.Resource(gatewayClasses).Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestDefinitionsOfGatewayAPIThatUsersBringWin(t *testing.T) {
	s := serve(t, t.TempDir())
	c := s.custom(t)
	definitions, err := gatewayDefinitions()
	if err != nil {
		t.Fatal(err)
	}
	var theirs unstructured.Unstructured
	for _, raw := range definitions {
		if err := json.Unmarshal(raw, &theirs.Object); err != nil {
			t.Fatal(err)
		}
		if theirs.GetName() == "gatewayclasses."+gatewayGroup {
			break
		}
	}
	theirs.SetAnnotations(map[string]string{"gateway.networking.k8s.io/bundle-version": "v1.0.0", "api-approved.kubernetes.io": "unapproved, for a test"})
	kind := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	apply := func(t *testing.T) {
		t.Helper()
		if _, err := c.objects.Resource(kind).Apply(t.Context(), theirs.GetName(), &theirs, metav1.ApplyOptions{FieldManager: "user"}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("instead of ours", func(t *testing.T) {
		apply(t)
		eventually(t, "their kind is served", func() bool {
			_, err := c.objects.Resource(gatewayClasses).List(t.Context(), metav1.ListOptions{})
			return err == nil
		})
		routes := gatewayClasses.GroupVersion().WithResource("httproutes")
		if _, err := c.objects.Resource(routes).List(t.Context(), metav1.ListOptions{}); !apierrors.IsNotFound(err) {
			t.Error("ours are stored beside theirs:", err)
		}
	})
	t.Run("over ours", func(t *testing.T) {
		if err := c.objects.Resource(kind).Delete(t.Context(), theirs.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "ours are there", func() bool {
			_, err := c.objects.Resource(gatewayClasses.GroupVersion().WithResource("httproutes")).List(t.Context(), metav1.ListOptions{})
			return err == nil
		})
		apply(t)
	})
}
