package manifest

import (
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// schema holds an object of a custom kind against what its schema says beyond types, as the API server will: after
// defaults are set. Rules in CEL are left to the server, since some of them compare an object with the stored one.
func (c *checker) schema(node *yaml.Node, k *custom, path string) {
	object, ok := valueOf(node).(map[string]any)
	if !ok {
		return
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, k.structural)
	defaulting.Default(object, k.structural)
	errs := validation.ValidateCustomResource(nil, object, k.validator)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, object)...)
	for _, err := range errs {
		at, found := find(node, err.Field)
		if full := join(path, err.Field); !c.explained(at, found, full) {
			c.report(at, full, "", "%s", schemaMessage(err))
		}
	}
}

// explained tells whether a fault has been reported in our own words: a value of the wrong type, or a field that is missing
// because it is misspelt.
func (c *checker) explained(at *yaml.Node, found bool, path string) bool {
	for _, p := range c.problems {
		parent := p.Path[:max(strings.LastIndexByte(p.Path, '.'), 0)]
		if found && p.Line == at.Line && p.Column == at.Column || !found && p.Suggestion != "" && join(parent, p.Suggestion) == path {
			return true
		}
	}
	return false
}

// schemaMessage is upstream's, without the path that a problem has already.
func schemaMessage(err *field.Error) string {
	if err.Type == field.ErrorTypeRequired {
		return "missing"
	}
	message := strings.Replace(err.ErrorBody(), err.Field+" in body ", "", 1)
	return strings.ToLower(message[:1]) + message[1:]
}

var index = regexp.MustCompile(`^\[(\d+)\]`)

// find returns the node at the end of a path such as spec.ports[0].name, or the last one on the way if there is no more.
// Keys may have dots themselves: the longest that fits is taken.
func find(n *yaml.Node, path string) (at *yaml.Node, found bool) {
	path = strings.TrimPrefix(path, ".")
	if path == "" {
		return n, true
	}
	node := target(n)
	if node.Kind == yaml.SequenceNode {
		if m := index.FindStringSubmatch(path); m != nil {
			if i, err := strconv.Atoi(m[1]); err == nil && i < len(node.Content) {
				return find(node.Content[i], path[len(m[0]):])
			}
		}
		return n, false
	}
	for end := len(path); end > 0; end-- {
		if end < len(path) && path[end] != '.' && path[end] != '[' {
			continue
		}
		if value := lookup(node, path[:end]); value != nil {
			return find(value, path[end:])
		}
	}
	return n, false
}
