package manifest

import (
	"fmt"
	"math"
	"strings"

	"gopkg.in/yaml.v3"
	kyaml "sigs.k8s.io/yaml/goyaml.v2"
)

// kind is what a YAML value becomes in JSON.
type kind int

const (
	null kind = iota
	boolean
	integer
	float
	text
	list
	mapping
)

// String returns the kind with its article, as messages need it.
func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a number", "a string", "a list", "a mapping"}[k]
}

// kindOf returns what kubectl will make of the node.
func kindOf(n *yaml.Node) kind {
	k, _ := scalarOf(n)
	return k
}

// scalarOf returns a node's kind and, for a scalar, its value as bool, int, int64, uint64, float64 or string.
func scalarOf(n *yaml.Node) (kind, any) {
	n = target(n)
	switch n.Kind {
	case yaml.MappingNode:
		return mapping, nil
	case yaml.SequenceNode:
		return list, nil
	}
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	source := n.Value
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		if !resolvedByTag(n.Tag) {
			return text, n.Value
		}
		source = fmt.Sprintf("%s %q", n.Tag, n.Value)
	case quoted || !maybeTyped(n.Value):
		return text, n.Value
	}
	return resolve(source, n.Value)
}

// resolvedByTag tells whether a tag turns a scalar into something other than a string.
func resolvedByTag(tag string) bool {
	switch tag {
	case "!!int", "!!float", "!!bool", "!!null":
		return true
	}
	return false
}

const (
	// longestNumber is the length that no number exceeds: a float can be written with more digits, but no
	// manifest does.
	longestNumber = 64
	longestWord   = len("false") // of those that are no strings
)

// maybeTyped tells whether a plain scalar could be anything but a string. It spares resolve the many that cannot.
func maybeTyped(value string) bool {
	if value == "" {
		return true
	}
	if strings.IndexByte("yYnNtTfFoO", value[0]) >= 0 {
		return len(value) <= longestWord
	}
	return len(value) <= longestNumber && strings.IndexByte("0123456789+-.~", value[0]) >= 0 &&
		!strings.ContainsAny(value, " \t\r\n:#,'\"[]{}&*!|>%@`") &&
		!strings.HasPrefix(value, separator) && !strings.HasPrefix(value, "...")
}

// resolve has the very library that kubectl reads YAML with say what a scalar is. So there is no second copy of
// YAML 1.1's rules to go wrong.
func resolve(source, value string) (kind, any) {
	var v any
	if err := kyaml.Unmarshal([]byte(source), &v); err != nil {
		return text, value
	}
	switch v.(type) {
	case nil:
		return null, nil
	case bool:
		return boolean, v
	case int, int64, uint64:
		return integer, v
	case float64:
		return float, v
	}
	return text, value
}

// finite tells whether JSON has a notation for the number.
func finite(v any) bool {
	f, ok := v.(float64)
	return !ok || !math.IsNaN(f) && !math.IsInf(f, 0)
}

// stringOf returns the value of a string node and "" for all other nodes.
func stringOf(n *yaml.Node) string {
	if k, v := scalarOf(n); k == text {
		return v.(string)
	}
	return ""
}

// longestQuote is how many characters of a user's value a message repeats.
const longestQuote = 40

func shorten(s string) string {
	if r := []rune(s); len(r) > longestQuote {
		return string(r[:longestQuote]) + "…"
	}
	return s
}
