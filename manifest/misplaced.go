package manifest

import (
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"
)

// A field that a type does not have is either misspelt or, as often, indented by too little or too much.

// enclosure is a mapping on the way from the document to a field.
type enclosure struct {
	node *yaml.Node
	typ  reflect.Type
	path string
}

// meant guesses which field of type t was meant by an unknown one, or where the field belongs: below t, or in one of
// the mappings around it. Fields elsewhere are given with their full path.
func (c *checker) meant(name string, value *yaml.Node, t reflect.Type, path string) string {
	names := fieldsOf(t).names
	if guess := Nearest(name, names); guess != "" {
		return guess
	}
	if below := c.below(name, value, t); below != "" {
		return join(path, below)
	}
	for _, e := range slices.Backward(c.enclosing) {
		if e.typ == nil || e.typ.Kind() != reflect.Struct {
			continue
		}
		if f, ok := fieldsOf(e.typ).types[name]; ok && fits(value, f) {
			return join(e.path, name)
		}
	}
	return containing(name, names)
}

// deepest is how far below its place a field is looked for: from a Deployment's spec to a container's field.
const deepest = 3

// place is a struct below the one that lacks a field.
type place struct {
	typ  reflect.Type
	node *yaml.Node // nil where the manifest has nothing
	path string
}

// below returns the path from t to a field of that name that could take the value; the shortest, and among those one
// that leads through fields which the manifest has.
func (c *checker) below(name string, value *yaml.Node, t reflect.Type) string {
	here := []place{{typ: t, node: c.enclosing[len(c.enclosing)-1].node}}
	for range deepest {
		var next []place
		for _, p := range here {
			next = append(next, p.children()...)
		}
		slices.SortStableFunc(next, func(a, b place) int { return a.absent() - b.absent() })
		for _, p := range next {
			if f, ok := fieldsOf(p.typ).types[name]; ok && fits(value, f) {
				return join(p.path, name)
			}
		}
		here = next
	}
	return ""
}

// children returns the structs in p's fields. Lists count only if the manifest has them: there are too many.
func (p place) children() (all []place) {
	f := fieldsOf(p.typ)
	for _, name := range f.names {
		child := place{typ: elem(f.types[name]), node: inside(p.node, name), path: join(p.path, name)}
		if child.typ.Kind() == reflect.Slice && child.node != nil {
			child.typ, child.path = elem(child.typ.Elem()), child.path+"[]"
		}
		if _, leaf := special(child.typ); !leaf && child.typ.Kind() == reflect.Struct {
			all = append(all, child)
		}
	}
	return all
}

func (p place) absent() int {
	if p.node == nil {
		return 1
	}
	return 0
}

// inside returns the field of a mapping, or of the first item of a list.
func inside(n *yaml.Node, field string) *yaml.Node {
	if n == nil {
		return nil
	}
	if n = target(n); n.Kind == yaml.SequenceNode && len(n.Content) > 0 {
		n = target(n.Content[0])
	}
	return lookup(n, field)
}

// fits tells whether a value has the shape that a field of type t takes.
func fits(value *yaml.Node, t reflect.Type) bool {
	t = elem(t)
	_, leaf := special(t)
	switch k := kindOf(value); {
	case leaf || k == null:
		return true
	case k == list:
		return t.Kind() == reflect.Slice
	case k == mapping:
		return t.Kind() == reflect.Struct || t.Kind() == reflect.Map
	}
	return t.Kind() != reflect.Slice && t.Kind() != reflect.Struct && t.Kind() != reflect.Map
}
