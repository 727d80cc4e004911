package manifest

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// objectsOf returns an example of every kind of Kubernetes that a manifest can hold.
func objectsOf(t *testing.T) map[schema.GroupVersionKind]runtime.Object {
	t.Helper()
	objects := make(map[schema.GroupVersionKind]runtime.Object)
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		obj := reflect.New(typ).Interface().(runtime.Object)
		if gvk.Version == runtime.APIVersionInternal || !isResource(typ) || removed(obj) || typ == listType {
			continue
		}
		objects[gvk] = obj
	}
	if len(objects) < 150 {
		t.Fatalf("only %d kinds in the scheme", len(objects))
	}
	return objects
}

// What the API's own types write as JSON is never complained about, whatever the values.
func TestEveryTypeTakesItsOwnJSON(t *testing.T) {
	codecs := scheme.Codecs
	fill := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(1), codecs)
	for gvk, obj := range objectsOf(t) {
		for range 3 {
			fill.Fill(obj)
			obj.GetObjectKind().SetGroupVersionKind(gvk)
			if o, ok := obj.(metav1.Object); ok {
				o.SetName("n")
			}
			data, err := json.Marshal(obj)
			if err != nil {
				t.Fatalf("%s: %v", gvk, err)
			}
			docs, problems := Parse("x.json", data)
			problems = append(problems, Check(docs, Rules{Scheme: scheme.Scheme})...)
			if len(docs) != 1 || len(problems) > 0 {
				t.Errorf("%s: %d documents, %v\n%s", gvk, len(docs), problems, data)
			}
		}
	}
}

// A field that no type has is found in an object of any kind.
func TestEveryTypeRefusesAnUnknownField(t *testing.T) {
	for gvk, obj := range objectsOf(t) {
		metadata := map[string]any{"qqqqqq": 1}
		if _, ok := obj.(metav1.Object); ok {
			metadata["name"] = "n"
		}
		data, err := json.Marshal(map[string]any{"apiVersion": gvk.GroupVersion().String(), "kind": gvk.Kind,
			"metadata": metadata, "wwwwww": 2})
		if err != nil {
			t.Fatal(err)
		}
		docs, _ := Parse("x.json", data)
		var paths []string
		for _, p := range Check(docs, Rules{Scheme: scheme.Scheme}) {
			paths = append(paths, p.Path)
		}
		if want := []string{"metadata.qqqqqq", "wwwwww"}; !slices.Equal(paths, want) {
			t.Errorf("%s: problems at %q, want %q", gvk, paths, want)
		}
	}
}

// Types that decode themselves are judged by special; a new one must not slip through unseen.
func TestTypesThatDecodeThemselvesAreKnown(t *testing.T) {
	known := []string{"intstr.IntOrString", "resource.Quantity", "runtime.RawExtension", "v1.FieldsV1", "v1.MicroTime",
		"v1.Time"}
	seen := make(map[reflect.Type]bool)
	var found []string
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		if reflect.PointerTo(typ).Implements(unmarshaler) {
			found = append(found, typ.String())
			return
		}
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			visit(typ.Elem())
		case reflect.Struct:
			for _, f := range fieldsOf(typ).types {
				visit(f)
			}
		}
	}
	for _, obj := range objectsOf(t) {
		visit(reflect.TypeOf(obj).Elem())
	}
	slices.Sort(found)
	if !slices.Equal(found, known) {
		t.Errorf("types with UnmarshalJSON: %q, known: %q", found, known)
	}
}
