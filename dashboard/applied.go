package dashboard

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/discovery"
	"k8s.io/kube-openapi/pkg/spec3"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// applied is what an edit is about: what differs from the object as it is, and what earlier edits have set. Applied as a whole, a text
// would make the page a manager of fields that nobody has touched, and whoever sets these next would meet a conflict. What the schema
// does not describe is applied as a whole all the same: the API server says what is wrong with it.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
func (s *session) applied(before, after *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	types, err := s.types(after.GroupVersionKind().GroupVersion())
	if err != nil {
		return nil, err
	}
	owned, err := ownedFields(before)
	if err != nil {
		return nil, err
	}
	before = before.DeepCopy()
	before.SetManagedFields(nil)
	was, err := types.ObjectToTyped(before)
	if err != nil {
		return after, nil
	}
	is, err := types.ObjectToTyped(after)
	if err != nil {
		return after, nil
	}
	difference, err := was.Compare(is)
	if err != nil {
		return nil, fmt.Errorf("compare with what is there: %w", err)
	}
	part, ok := is.ExtractItems(owned.Union(difference.Added).Union(difference.Modified), typed.WithAppendKeyFields()).AsValue().Unstructured().(map[string]any)
	if !ok {
		part = map[string]any{}
	}
	out := &unstructured.Unstructured{Object: part}
	out.SetGroupVersionKind(after.GroupVersionKind())
	out.SetName(after.GetName())
	out.SetNamespace(after.GetNamespace())
	out.SetUID(after.GetUID())
	out.SetResourceVersion(after.GetResourceVersion()) // refused if somebody else was faster
	return out, nil
}

// ownedFields are those that earlier edits on the page have set.
func ownedFields(o *unstructured.Unstructured) (*fieldpath.Set, error) {
	all := fieldpath.NewSet()
	for _, entry := range o.GetManagedFields() {
		if entry.Manager != fieldManager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		set := fieldpath.NewSet()
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return nil, fmt.Errorf("read who set which field: %w", err)
		}
		all = all.Union(set)
	}
	return all, nil
}

// typeConverter is managedfields' as far as it is needed.
type typeConverter interface {
	ObjectToTyped(o runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error)
}

// types are the API's of a group and version.
func (s *session) types(of schema.GroupVersion) (typeConverter, error) {
	client, err := discovery.NewDiscoveryClientForConfig(s.config)
	if err != nil {
		return nil, err
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil {
		return nil, err
	}
	path := "apis/" + of.String()
	if of.Group == "" {
		path = "api/" + of.Version
	}
	described, ok := paths[path]
	if !ok {
		return nil, fmt.Errorf("the API does not describe %s", of)
	}
	text, err := described.Schema("application/json")
	if err != nil {
		return nil, err
	}
	var api spec3.OpenAPI
	if err := json.Unmarshal(text, &api); err != nil {
		return nil, fmt.Errorf("read the description of %s: %w", of, err)
	}
	return managedfields.NewTypeConverter(api.Components.Schemas, false)
}
