package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// custom is one version of a kind that a CustomResourceDefinition defines.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
type custom struct {
	// typ has the fields of the schema as a Go type, so that they are checked as those of any other kind.
	typ        reflect.Type
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
}

// definition returns the CustomResourceDefinition of a kind, from the documents or else from the server; nil if there is none.
func (k *kinds) definition(gvk schema.GroupVersionKind) *apiextensionsv1.CustomResourceDefinition {
	if node := k.declared[gvk]; node != nil {
		return definitionOf(node)
	}
	if k.rules.Definition == nil {
		return nil
	}
	return k.rules.Definition(gvk)
}

// definitionOf decodes a document; nil if it cannot be, which is reported where the document is checked.
func definitionOf(node *yaml.Node) *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	data, err := json.Marshal(valueOf(node))
	if err != nil || json.Unmarshal(data, crd) != nil {
		return nil
	}
	return crd
}

// Definitions returns the CustomResourceDefinitions in the files, as far as they can be read.
func Definitions(files []File) (all []*apiextensionsv1.CustomResourceDefinition) {
	for _, f := range files {
		if !bytes.Contains(f.Data, []byte(definitionKind)) {
			continue
		}
		docs, _ := Parse(f.Name, f.Data)
		for _, d := range docs {
			if crd := definitionOf(d.Node); d.Kind == definitionKind && crd != nil {
				all = append(all, crd)
			}
		}
	}
	return all
}

const definitionKind = "CustomResourceDefinition"

// custom returns what is known of a kind that has no Go type; nil if that is nothing. Schemas that the API server would
// refuse count as nothing: it says so in its own words.
func (k *kinds) custom(gvk schema.GroupVersionKind) *custom {
	if c, ok := k.customs[gvk]; ok {
		return c
	}
	k.customs[gvk] = nil
	if crd := k.definition(gvk); crd != nil && crd.Spec.Names.Kind == gvk.Kind {
		for _, v := range crd.Spec.Versions {
			if v.Name == gvk.Version && v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
				k.customs[gvk], _ = newCustom(v.Schema.OpenAPIV3Schema)
			}
		}
	}
	return k.customs[gvk]
}

func newCustom(props *apiextensionsv1.JSONSchemaProps) (*custom, error) {
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, internal, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(internal)
	if err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(internal)
	if err != nil {
		return nil, err
	}
	return &custom{typ: structOf(structural, true), structural: structural, validator: validator}, nil
}

// goType returns the Go type that takes what a schema takes; values that only the validation can judge have the type any.
func goType(s *structuralschema.Structural) reflect.Type {
	switch {
	case s == nil || s.XIntOrString:
		return reflect.TypeFor[any]()
	case s.Type == "string":
		return reflect.TypeFor[string]()
	case s.Type == "integer":
		return reflect.TypeFor[int64]()
	case s.Type == "number":
		return reflect.TypeFor[float64]()
	case s.Type == "boolean":
		return reflect.TypeFor[bool]()
	case s.Type == "array":
		return reflect.SliceOf(goType(s.Items))
	case s.Type == "object" && s.AdditionalProperties != nil && len(s.Properties) == 0:
		return reflect.MapOf(reflect.TypeFor[string](), goType(s.AdditionalProperties.Structural))
	case s.Type == "object":
		return structOf(s, s.XEmbeddedResource)
	}
	return reflect.TypeFor[any]()
}

// structOf returns a struct with a field for each property. A resource has those of every Kubernetes object too.
func structOf(s *structuralschema.Structural, resource bool) reflect.Type {
	types := make(map[string]reflect.Type, len(s.Properties))
	for name, property := range s.Properties {
		types[name] = goType(&property)
	}
	if resource {
		types["apiVersion"], types["kind"] = reflect.TypeFor[string](), reflect.TypeFor[string]()
		types["metadata"] = reflect.TypeFor[metav1.ObjectMeta]()
	}
	open := s.XPreserveUnknownFields
	fields := make([]reflect.StructField, 0, len(types)+1)
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if name == "" || name == "-" || strings.Contains(name, ",") {
			open = true // no json tag can say this name
			continue
		}
		fields = append(fields, reflect.StructField{Name: fmt.Sprintf("Field%d", len(fields)), Type: types[name],
			Tag: reflect.StructTag("json:" + strconv.Quote(name))})
	}
	if open {
		fields = append(fields, reflect.StructField{Name: "Rest", Type: reflect.TypeFor[map[string]any](), Tag: `json:",inline"`})
	}
	return reflect.StructOf(fields)
}

// isCustom tells whether a type is that of a custom: it has no name.
func isCustom(typ reflect.Type) bool { return typ.Name() == "" }

// valueOf returns a node as encoding/json and upstream's validation have values: maps, lists, int64, float64, strings.
func valueOf(n *yaml.Node) any {
	switch k, v := scalarOf(n); k {
	case mapping:
		object := make(map[string]any)
		fill(object, target(n))
		return object
	case list:
		items := make([]any, 0, len(target(n).Content))
		for _, item := range target(n).Content {
			items = append(items, valueOf(item))
		}
		return items
	case integer:
		if i, err := strconv.ParseInt(fmt.Sprint(v), 10, 64); err == nil {
			return i
		}
		f, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
		return f
	default:
		return v
	}
}

// fill adds the fields of a mapping. Those that a merge key brings in give way to the mapping's own.
func fill(object map[string]any, n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			for _, m := range slices.Backward(merged(n.Content[i+1])) {
				fill(object, m)
			}
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if name, ok := keyName(n.Content[i]); ok && !isMerge(n.Content[i]) {
			object[name] = valueOf(n.Content[i+1])
		}
	}
}
