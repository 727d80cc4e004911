package apiserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

var updateData = flag.Bool("update", false, "make data/gateway-api.json.gz of the module that conformance/gateway/go.mod names")

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
