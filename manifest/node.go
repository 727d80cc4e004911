package manifest

import (
	"fmt"
	"math"
	"strconv"

	"gopkg.in/yaml.v3"
)

// mergeKey includes the fields of another mapping: https://yaml.org/type/merge.html.
const mergeKey = "<<"

// target follows an alias to the node it stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// isMerge tells whether a mapping's key is the merge key. A quoted "<<" is an ordinary key.
func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == mergeKey && key.Tag == "!!merge"
}

// merged returns the mappings that a merge key's value brings in.
func merged(value *yaml.Node) []*yaml.Node {
	value = target(value)
	if value.Kind != yaml.SequenceNode {
		return []*yaml.Node{value}
	}
	all := make([]*yaml.Node, 0, len(value.Content))
	for _, n := range value.Content {
		all = append(all, target(n))
	}
	return all
}

// keyName returns the JSON field name that a key becomes; ok is false for a key that JSON cannot have.
func keyName(key *yaml.Node) (name string, ok bool) {
	switch k, v := scalarOf(key); k {
	case text:
		return v.(string), true
	case boolean, integer:
		return fmt.Sprint(v), true
	case float:
		return strconv.FormatFloat(v.(float64), 'g', -1, 32), true
	}
	return "", false
}

// typedName returns what a person calls a key: y, where the field name that it becomes is true.
func typedName(key *yaml.Node) string {
	if key = target(key); key.Kind == yaml.ScalarNode {
		return key.Value
	}
	name, _ := keyName(key)
	return name
}

// lookup returns the value of a mapping's field, merged ones included; nil if there is none.
func lookup(n *yaml.Node, name string) *yaml.Node {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	var found *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			for _, m := range merged(value) {
				if v := lookup(m, name); v != nil && found == nil {
					found = v
				}
			}
		} else if k, ok := keyName(key); ok && k == name {
			return value
		}
	}
	return found
}

// maxExpanded is how many values a document may have once its aliases are written out. The YAML reader of kubectl
// becomes suspicious at the same number.
const maxExpanded = 400_000

// unsound finds what can be written in YAML but not sent: keys that are no strings, numbers without an end, aliases
// without an end. Every node is looked at once, however many aliases lead to it.
func unsound(root *yaml.Node) []Problem {
	u := unsoundness{size: make(map[*yaml.Node]float64)}
	if u.visit(root) > maxExpanded && u.aliases {
		u.report(root, "aliases make more than %d values of this document", maxExpanded)
	}
	return u.problems
}

type unsoundness struct {
	problems []Problem
	// size of each node seen, aliases written out. A float64 cannot overflow however large the bomb. NaN while
	// the node is being visited.
	size    map[*yaml.Node]float64
	aliases bool
}

func (u *unsoundness) report(n *yaml.Node, format string, args ...any) {
	u.problems = append(u.problems, Problem{Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...)})
}

func (u *unsoundness) visit(n *yaml.Node) float64 {
	if n.Kind == yaml.AliasNode {
		u.aliases = true
		if size, ok := u.size[n.Alias]; ok && math.IsNaN(size) {
			u.report(n, "the anchor %q contains itself", n.Value)
			return 1
		}
		return u.visit(n.Alias)
	}
	if size, ok := u.size[n]; ok {
		return size
	}
	u.size[n] = math.NaN()
	size := 1.0
	if k, v := scalarOf(n); !finite(v) {
		u.report(n, "%s has no notation in JSON", n.Value)
	} else if k == mapping {
		u.keys(n)
	}
	for _, c := range n.Content {
		size += u.visit(c)
	}
	u.size[n] = size
	return size
}

func (u *unsoundness) keys(n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			for _, m := range merged(value) {
				if m.Kind != yaml.MappingNode {
					u.report(key, "%q takes a mapping or a list of mappings, got %s", mergeKey, kindOf(m))
				}
			}
		} else if _, ok := keyName(key); !ok {
			u.report(key, "a key must be a string, got %s%s", kindOf(key), templateHint(key))
		}
	}
}

// templateHint tells a key that is a mapping for what it mostly is: {{ .Values.name }}.
func templateHint(key *yaml.Node) string {
	if key.Kind == yaml.MappingNode && key.Style&yaml.FlowStyle != 0 {
		return ": a template must be rendered first"
	}
	return ""
}
