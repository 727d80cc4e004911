package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// join appends a field's name to a path.
func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// value holds a node against a Go type as the API server's JSON decoder would. A nil type allows anything.
func (c *checker) value(n *yaml.Node, t reflect.Type, path string) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if kindOf(n) == null {
		return // leaves any field as it is
	}
	if check, ok := special(t); ok {
		check(c, n, path)
		return
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		c.mapping(n, t, path)
	case reflect.Slice, reflect.Array:
		c.list(n, t, path)
	default:
		c.scalar(n, t, path)
	}
}

// any checks what holds without a type.
func (c *checker) any(n *yaml.Node, path string) {
	switch kindOf(n) {
	case mapping:
		c.mapping(n, nil, path)
	case list:
		c.list(n, nil, path)
	}
}

func (c *checker) list(n *yaml.Node, t reflect.Type, path string) {
	if k := kindOf(n); k != list {
		hint := ""
		if k == mapping {
			hint = `: begin each item with "- "`
		}
		c.report(n, path, "", "must be a list, got %s%s", k, hint)
		return
	}
	node := target(n)
	if !c.first(visit{node: node, typ: t}) {
		return
	}
	var elem reflect.Type
	if t != nil {
		elem = t.Elem()
	}
	for i, item := range node.Content {
		c.value(item, elem, fmt.Sprintf("%s[%d]", path, i))
	}
}

func (c *checker) mapping(n *yaml.Node, t reflect.Type, path string) {
	if k := kindOf(n); k != mapping {
		hint := ""
		if k == list {
			hint = `: remove the "- "`
		}
		c.report(n, path, "", "must be a mapping, got %s%s", k, hint)
		return
	}
	node := target(n)
	if !c.first(visit{node: node, typ: t}) {
		return
	}
	c.enclosing = append(c.enclosing, enclosure{node, t, path})
	defer func() { c.enclosing = c.enclosing[:len(c.enclosing)-1] }()
	keys := make(map[string]*yaml.Node, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if isMerge(key) {
			for _, m := range merged(value) {
				c.mapping(m, t, path)
			}
			continue
		}
		name, _ := keyName(key)
		if earlier, dup := keys[name]; dup {
			c.duplicate(key, earlier, name, member(path, typedName(key), t))
		} else {
			keys[name] = key
		}
		c.member(key, value, t, path)
	}
}

// member checks one entry of a mapping.
func (c *checker) member(key, value *yaml.Node, t reflect.Type, path string) {
	name, _ := keyName(key)
	typed := typedName(key)
	at := member(path, typed, t)
	switch {
	case t == nil:
		c.value(value, nil, at)
	case t.Kind() == reflect.Map:
		c.value(value, t.Elem(), at)
	default:
		fields := fieldsOf(t)
		f, ok := fields.types[name]
		if !ok && !fields.open {
			c.report(key, at, c.meant(typed, value, t, path), "unknown field")
			return
		}
		c.value(value, f, at)
	}
}

// member returns the path of a mapping's entry. Keys that users choose stand in brackets, since they have dots.
func member(path, name string, t reflect.Type) string {
	if t != nil && t.Kind() == reflect.Map {
		return path + "[" + name + "]"
	}
	return join(path, name)
}

func (c *checker) scalar(n *yaml.Node, t reflect.Type, path string) {
	k, _ := scalarOf(n)
	switch t.Kind() {
	case reflect.String:
		if k != text {
			c.report(n, path, "", "must be a string, got %s%s", k, quoteHint(n))
		}
	case reflect.Bool:
		if k != boolean {
			c.report(n, path, "", "must be true or false, got %s", got(n, boolean))
		}
	case reflect.Float32, reflect.Float64:
		if k != integer && k != float {
			c.report(n, path, "", "must be a number, got %s", got(n, integer, float))
		}
	default:
		c.integer(n, t, path)
	}
}

func (c *checker) integer(n *yaml.Node, t reflect.Type, path string) {
	k, v := scalarOf(n)
	if k != integer && k != float {
		c.report(n, path, "", "must be a whole number, got %s", got(n, integer))
		return
	}
	// 2.0 and 1e3 become 2 and 1000 on the way to JSON.
	digits := fmt.Sprint(v)
	if f, ok := v.(float64); ok {
		digits = strconv.FormatFloat(f, 'f', -1, 64)
	}
	var err error
	if t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64 {
		_, err = strconv.ParseUint(digits, 10, t.Bits())
	} else {
		_, err = strconv.ParseInt(digits, 10, t.Bits())
	}
	switch {
	case err == nil:
	case strings.Contains(digits, "."):
		c.report(n, path, "", "must be a whole number, got %s", target(n).Value)
	default:
		c.report(n, path, "", "%s is out of range", shorten(target(n).Value))
	}
}

// got names a value that is of the wrong kind, and tells when it would be right without its quotes.
func got(n *yaml.Node, wanted ...kind) string {
	k, v := scalarOf(n)
	if k != text {
		return k.String()
	}
	s := v.(string)
	if maybeTyped(s) && s != "" {
		if inner, _ := resolve(s, s); slices.Contains(wanted, inner) {
			return fmt.Sprintf("%q: remove the quotes", s)
		}
	}
	return fmt.Sprintf("%q", shorten(s))
}

// quoteHint tells how to make a string of a scalar that YAML takes for something else.
func quoteHint(n *yaml.Node) string {
	if k := kindOf(n); k == mapping || k == list {
		return ""
	}
	return fmt.Sprintf(": quote it: %q", shorten(target(n).Value))
}
