package cli

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

const shipsDefined = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.sea.example.com}
spec:
  group: sea.example.com
  scope: Namespaced
  names: {plural: ships, singular: ship, kind: Ship}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`

// What a kustomization defines is known when the server does not know it; for what the server knows none is built.
func TestKindsOfAKustomizationAreKnown(t *testing.T) {
	dir := write(t, map[string]string{"kustomization.yaml": "resources: [crd.yaml, good.yaml]", "crd.yaml": shipsDefined, "good.yaml": goodManifest})
	server := meta.NewDefaultRESTMapper(nil)
	server.Add(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, meta.RESTScopeNamespace)
	for _, f := range []struct {
		line, kind, want string // the resource, or what the error says
	}{
		{"apply -k " + dir, "Ship.v1.sea.example.com", "ships"},
		{"apply -k " + dir, "Ship.v2.sea.example.com", "no matches for kind"},
		{"apply -k /nonexistent", "Ship.v1.sea.example.com", "must build at directory"},
		{"apply -k /nonexistent", "ConfigMap.v1.", "configmaps"},
		{"apply -f " + dir + "/crd.yaml", "Ship.v1.sea.example.com", "ships"},
		{"apply -f " + dir + "/good.yaml", "Ship.v1.sea.example.com", "no matches for kind"},
	} {
		k, _ := aRun(t, f.line)
		if err := k.prepare(); err != nil {
			t.Fatal(err)
		}
		getter := genericclioptions.NewTestConfigFlags().WithRESTMapper(server)
		mapper, err := defining{getter, &k.env.definitions}.ToRESTMapper()
		if err != nil {
			t.Fatal(err)
		}
		gvk, _ := schema.ParseKindArg(f.kind)
		mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		got := ""
		if err == nil {
			got = mapping.Resource.Resource
		} else {
			got = err.Error()
		}
		if !strings.Contains(got, f.want) {
			t.Errorf("%s: %s leads to %q, want %q", f.line, f.kind, got, f.want)
		}
	}
}
