package apiserver

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdclient "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// ships has defaults, a rule, columns, a status and a scale.
const ships = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.sea.example.com}
spec:
  group: sea.example.com
  scope: Namespaced
  names: {plural: ships, singular: ship, kind: Ship, listKind: ShipList, shortNames: [sh], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        description: A Ship sails.
        properties:
          spec:
            type: object
            x-kubernetes-validations: [{rule: "self.masts <= 3", message: "no more than three masts"}]
            properties: {masts: {type: integer, default: 1, description: how many it has}, port: {type: string}}
          status: {type: object, properties: {knots: {type: integer}}}
    subresources: {status: {}, scale: {specReplicasPath: .spec.masts, statusReplicasPath: .status.knots}}
    additionalPrinterColumns: [{name: Masts, type: integer, jsonPath: .spec.masts}]
    selectableFields: [{jsonPath: .spec.port}]
`

var (
	shipsV1 = schema.GroupVersionResource{Group: "sea.example.com", Version: "v1", Resource: "ships"}
	shipsV2 = schema.GroupVersionResource{Group: "sea.example.com", Version: "v2", Resource: "ships"}
)

func ship(version, name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "sea.example.com/" + version, "kind": "Ship", "metadata": map[string]any{"name": name}, "spec": spec,
	}}
}

// custom are the clients of a test of custom resources.
type custom struct {
	t           testing.TB
	definitions crdclient.Interface
	objects     dynamic.Interface
}

func (s *testServer) custom(t testing.TB) *custom {
	t.Helper()
	config := s.adminConfig(t)
	config.QPS = -1
	definitions, err := crdclient.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &custom{t, definitions, objects}
}

// define makes ships, in two equal versions, and waits until they are there.
func (c *custom) define() *apiextensionsv1.CustomResourceDefinition {
	c.t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	c.must(yaml.UnmarshalStrict([]byte(ships), crd))
	second := *crd.Spec.Versions[0].DeepCopy()
	second.Name, second.Storage = "v2", false
	crd.Spec.Versions = append(crd.Spec.Versions, second)
	crd, err := c.definitions.ApiextensionsV1().CustomResourceDefinitions().Create(c.t.Context(), crd, metav1.CreateOptions{})
	c.must(err)
	c.await("ships are established", func(ctx context.Context) (bool, error) {
		crd, err = c.definitions.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, crd.Name, metav1.GetOptions{})
		return err == nil && len(servedVersions(crd)) == 2, err
	})
	return crd
}

func (c *custom) v1() dynamic.ResourceInterface {
	return c.objects.Resource(shipsV1).Namespace("default")
}
func (c *custom) v2() dynamic.ResourceInterface {
	return c.objects.Resource(shipsV2).Namespace("default")
}

func (c *custom) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *custom) await(what string, done func(context.Context) (bool, error)) {
	c.t.Helper()
	if err := wait.PollUntilContextTimeout(c.t.Context(), 10*time.Millisecond, 30*time.Second, true, done); err != nil {
		c.t.Fatalf("waiting until %s: %v", what, err)
	}
}

func (c *custom) create(in dynamic.ResourceInterface, obj *unstructured.Unstructured) *unstructured.Unstructured {
	c.t.Helper()
	made, err := in.Create(c.t.Context(), obj, metav1.CreateOptions{})
	c.must(err)
	return made
}

func masts(obj *unstructured.Unstructured) int64 {
	n, _, _ := unstructured.NestedInt64(obj.Object, "spec", "masts")
	return n
}

func TestCustomResourcesInTwoVersions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	c, ctx := s.custom(t), t.Context()
	c.define()
	events, err := c.v2().Watch(ctx, metav1.ListOptions{})
	c.must(err)
	defer events.Stop()

	made := c.create(c.v2(), ship("v2", "gull", map[string]any{"port": "Hamburg", "unknown": "pruned"}))
	if _, found, _ := unstructured.NestedString(made.Object, "spec", "unknown"); found || masts(made) != 1 || made.GetAPIVersion() != "sea.example.com/v2" {
		t.Errorf("what came of it is %v", made.Object)
	}
	seen := <-events.ResultChan()
	if obj, ok := seen.Object.(*unstructured.Unstructured); !ok || seen.Type != watch.Added || obj.GetAPIVersion() != "sea.example.com/v2" {
		t.Errorf("the watch saw %v %v", seen.Type, seen.Object)
	}
	other, err := c.v1().Get(ctx, "gull", metav1.GetOptions{})
	c.must(err)
	if other.GetAPIVersion() != "sea.example.com/v1" || other.GetResourceVersion() != made.GetResourceVersion() {
		t.Errorf("as v1 it is %v", other.Object)
	}

	t.Run("selectable field", func(t *testing.T) {
		list, err := c.v1().List(ctx, metav1.ListOptions{FieldSelector: "spec.port=Bremen"})
		c.must(err)
		if len(list.Items) != 0 {
			t.Errorf("ships in Bremen are %v", list.Items)
		}
	})
	t.Run("a rule in CEL", func(t *testing.T) {
		_, err := c.v1().Create(ctx, ship("v1", "big", map[string]any{"masts": int64(4)}), metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "no more than three masts") {
			t.Errorf("a ship of four masts: %v", err)
		}
	})
	t.Run("server-side apply, status and scale", func(t *testing.T) {
		_, err := c.v1().Apply(ctx, "gull", ship("v1", "gull", map[string]any{"masts": int64(2)}), metav1.ApplyOptions{FieldManager: "test", Force: true})
		c.must(err)
		status := ship("v1", "gull", nil)
		status.Object["spec"] = map[string]any{"masts": int64(3)}
		status.Object["status"] = map[string]any{"knots": int64(9)}
		data, _ := json.Marshal(status.Object)
		got, err := c.v1().Patch(ctx, "gull", types.MergePatchType, data, metav1.PatchOptions{}, "status")
		c.must(err)
		scale, err := c.v1().Get(ctx, "gull", metav1.GetOptions{}, "scale")
		c.must(err)
		replicas, _, _ := unstructured.NestedInt64(scale.Object, "spec", "replicas")
		knots, _, _ := unstructured.NestedInt64(scale.Object, "status", "replicas")
		if masts(got) != 2 || replicas != 2 || knots != 9 {
			t.Errorf("after a patch of its status it is %v, its scale %v", got.Object, scale.Object)
		}
	})
	t.Run("a restart", func(t *testing.T) {
		s.stop()
		s = serve(t, dir)
		c = s.custom(t)
		got, err := c.v2().Get(ctx, "gull", metav1.GetOptions{})
		c.must(err)
		if masts(got) != 2 || got.GetAPIVersion() != "sea.example.com/v2" {
			t.Errorf("afterwards it is %v", got.Object)
		}
	})
}

// A change of the schema holds for objects that are there already, and ends watches, whose clients come again.
func TestASchemaChanges(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	c, ctx := s.custom(t), t.Context()
	crd := c.define()
	c.create(c.v1(), ship("v1", "gull", map[string]any{"port": "Hamburg"}))
	events, err := c.v1().Watch(ctx, metav1.ListOptions{})
	c.must(err)

	for n := range crd.Spec.Versions {
		spec := crd.Spec.Versions[n].Schema.OpenAPIV3Schema.Properties["spec"]
		spec.Properties["flag"] = apiextensionsv1.JSONSchemaProps{Type: "string", Default: &apiextensionsv1.JSON{Raw: []byte(`"red"`)}}
		crd.Spec.Versions[n].Schema.OpenAPIV3Schema.Properties["spec"] = spec
	}
	_, err = c.definitions.ApiextensionsV1().CustomResourceDefinitions().Update(ctx, crd, metav1.UpdateOptions{})
	c.must(err)
	c.await("the new field has its default", func(ctx context.Context) (bool, error) {
		got, err := c.v1().Get(ctx, "gull", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		flag, _, _ := unstructured.NestedString(got.Object, "spec", "flag")
		return flag == "red", nil
	})
	for range events.ResultChan() { // until it is closed
	}
}

func TestDefinitionsInDiscoveryAndOpenAPI(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	c := s.custom(t)
	c.define()
	client := s.admin(t)
	c.await("discovery has ships", func(context.Context) (bool, error) {
		list, err := client.Discovery().ServerResourcesForGroupVersion("sea.example.com/v1")
		return err == nil && len(list.APIResources) == 3 && list.APIResources[0].ShortNames[0] == "sh", nil
	})
	c.await("aggregated discovery has three groups and versions", func(context.Context) (bool, error) { // one after the other
		_, all, err := client.Discovery().ServerGroupsAndResources()
		found := 0
		for _, list := range all {
			if strings.HasPrefix(list.GroupVersion, "sea.example.com/") || list.GroupVersion == "apiextensions.k8s.io/v1" {
				found++
			}
		}
		return err == nil && found == 3, nil
	})
	for _, path := range []string{"/apis", "/apis/apiextensions.k8s.io", "/apis/sea.example.com"} {
		text, err := client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(t.Context())
		if err != nil || path == "/apis" && !(strings.Contains(string(text), `"apiextensions.k8s.io/v1"`) && strings.Contains(string(text), `"preferredVersion":{"groupVersion":"sea.example.com/v2"`)) {
			t.Errorf("%s, %v, has %s", path, err, text)
		}
	}
	for _, path := range []string{"/openapi/v2", "/openapi/v3/apis/sea.example.com/v1"} {
		text, err := client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(t.Context())
		if err != nil || !strings.Contains(string(text), "A Ship sails.") {
			t.Errorf("%s, %v, does not describe a ship", path, err)
		}
	}
	c.must(c.definitions.ApiextensionsV1().CustomResourceDefinitions().Delete(t.Context(), "ships.sea.example.com", metav1.DeleteOptions{}))
	for _, path := range []string{"/openapi/v3", "/apis"} {
		c.await("nothing describes ships at "+path, func(ctx context.Context) (bool, error) {
			text, err := client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(ctx)
			return err == nil && !strings.Contains(string(text), "sea.example.com"), nil
		})
	}
}

func TestADefinitionGoesWithItsObjects(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	c, ctx := s.custom(t), t.Context()
	c.define()
	made := c.create(c.v1(), ship("v1", "gull", nil))
	c.must(c.definitions.ApiextensionsV1().CustomResourceDefinitions().Delete(ctx, "ships.sea.example.com", metav1.DeleteOptions{}))
	c.await("ships are gone", func(ctx context.Context) (bool, error) {
		_, err := c.definitions.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, "ships.sea.example.com", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if _, err := c.v1().Get(ctx, "gull", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a ship without a definition: %v", err)
	}
	c.define()
	list, err := c.v1().List(ctx, metav1.ListOptions{})
	c.must(err)
	if len(list.Items) != 0 {
		t.Errorf("ships that are new have %v", list.Items)
	}
	if again := c.create(c.v1(), ship("v1", "gull", nil)); again.GetUID() == made.GetUID() {
		t.Error("a new ship is the old one")
	}
}

// The server of custom resources is there when a definition is, and a server that is ready after a restart knows all kinds.
func TestTheServerOfCustomResourcesComesWithADefinition(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	c := s.custom(t)
	if _, err := c.v1().List(t.Context(), metav1.ListOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("ships without a definition: %v", err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	c.must(yaml.UnmarshalStrict([]byte(ships), crd))
	_, err := c.definitions.ApiextensionsV1().CustomResourceDefinitions().Create(t.Context(), crd, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	c.must(err)
	if s.Server.custom.built.Load() != nil {
		t.Error("the server of custom resources is there without a definition")
	}
	c.define()
	c.create(c.v1(), ship("v1", "gull", nil))
	s.stop()

	s = serve(t, dir)
	c = s.custom(t)
	_, err = c.v1().Get(t.Context(), "gull", metav1.GetOptions{})
	c.must(err)
	list, err := s.admin(t).Discovery().ServerResourcesForGroupVersion("sea.example.com/v1")
	c.must(err)
	if len(list.APIResources) != 3 {
		t.Errorf("discovery has %v", list.APIResources)
	}
}
