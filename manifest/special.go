package manifest

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"time"

	"gopkg.in/yaml.v3"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A check reports what keeps a node from being decoded into one Go type.
type check func(c *checker, n *yaml.Node, path string)

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// special returns the check for types whose JSON is not what their Go structure suggests.
func special(t reflect.Type) (check, bool) {
	switch t {
	case nil, reflect.TypeFor[runtime.RawExtension](), reflect.TypeFor[metav1.FieldsV1]():
		return (*checker).any, true
	case reflect.TypeFor[intstr.IntOrString]():
		return (*checker).intOrString, true
	case reflect.TypeFor[resource.Quantity]():
		return (*checker).quantity, true
	case reflect.TypeFor[metav1.Time]():
		return timestamp(time.RFC3339), true
	case reflect.TypeFor[metav1.MicroTime]():
		return timestamp(metav1.RFC3339Micro), true
	case reflect.TypeFor[[]byte]():
		return (*checker).base64, true
	case reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrArray](), reflect.TypeFor[apiextensionsv1.JSONSchemaPropsOrBool]():
		return (*checker).subschema, true
	}
	if t.Kind() == reflect.Interface || reflect.PointerTo(t).Implements(unmarshaler) {
		return (*checker).any, true
	}
	return nil, false
}

// subschema is part of the schema in a CustomResourceDefinition. Lists and booleans in its place are the API server's to judge.
func (c *checker) subschema(n *yaml.Node, path string) {
	if kindOf(n) == mapping {
		c.value(n, reflect.TypeFor[apiextensionsv1.JSONSchemaProps](), path)
	}
}

func (c *checker) intOrString(n *yaml.Node, path string) {
	switch k := kindOf(n); k {
	case text:
	case integer, float:
		c.integer(n, reflect.TypeFor[int32](), path)
	default:
		c.report(n, path, "", "must be a number or a string, got %s%s", k, quoteHint(n))
	}
}

// quantity: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
func (c *checker) quantity(n *yaml.Node, path string) {
	k, v := scalarOf(n)
	if k == integer || k == float {
		return
	}
	if k == text {
		if _, err := resource.ParseQuantity(v.(string)); err == nil {
			return
		}
	}
	c.report(n, path, "", "must be a quantity such as 500m, 1.5 or 64Mi, got %s", got(n))
}

func timestamp(layout string) check {
	return func(c *checker, n *yaml.Node, path string) {
		k, v := scalarOf(n)
		if k == text {
			if _, err := time.Parse(layout, v.(string)); err == nil {
				return
			}
		}
		c.report(n, path, "", "must be a time such as %q, got %s", time.Date(2026, 1, 31, 12, 30, 0, 0, time.UTC).Format(layout), got(n))
	}
}

func (c *checker) base64(n *yaml.Node, path string) {
	k, v := scalarOf(n)
	if k != text {
		c.report(n, path, "", "must be a string of base64, got %s%s", k, quoteHint(n))
		return
	}
	if _, err := base64.StdEncoding.DecodeString(v.(string)); err != nil {
		c.report(n, path, "", "must be base64%s", plainTextHint(path))
	}
}

// plainTextHint names the field of a Secret that takes text as it is.
func plainTextHint(path string) string {
	if len(path) > 5 && path[:5] == "data[" {
		return ": stringData takes plain text"
	}
	return ""
}
