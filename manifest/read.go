package manifest

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
	kyaml "sigs.k8s.io/yaml"
)

// Read reads a file that is no manifest but written like one: a single document with the JSON fields of the struct
// that into points to. Everything that is wrong with it is in the Problems, as of a manifest, and into is filled in
// only if there are none. For what the caller finds wrong with a value, at makes a Problem from its path, such as
// checks[2].url; of a value that is not there it has the place of the mapping or list that lacks it.
func Read(name string, data []byte, into any) (at func(path, message string) Problem, problems []Problem) {
	docs, problems := Parse(name, data)
	nowhere := func(path, message string) Problem {
		return Problem{File: name, Line: 1, Column: 1, Path: path, Message: message}
	}
	switch {
	case len(problems) > 0:
		return nowhere, problems
	case len(docs) == 0:
		return nowhere, []Problem{nowhere("", "there is nothing in it")}
	case len(docs) > 1:
		return nowhere, []Problem{{File: name, Line: docs[1].Line, Column: 1, Message: "a second document: only one is read"}}
	}
	at = docs[0].At
	root := docs[0].Node
	c := checker{file: name, seen: make(map[visit]bool)}
	c.value(root, reflect.TypeOf(into).Elem(), "")
	sortByPosition(c.problems)
	if len(c.problems) > 0 {
		return at, c.problems
	}
	if err := kyaml.Unmarshal(data, into); err != nil {
		return at, []Problem{at("", fmt.Sprintf("cannot be read: %v", err))}
	}
	return at, nil
}

// At makes a Problem of what somebody else has found wrong with a field, at the place of the field, or of the mapping or list that lacks
// it. The path is written as Kubernetes writes it: spec.containers[0].image.
func (d Document) At(path, message string) Problem {
	n := nodeAt(d.Node, path)
	return Problem{File: d.Name, Line: n.Line, Column: n.Column, Path: path, Message: message}
}

// nodeAt follows a path as far as it leads.
func nodeAt(n *yaml.Node, path string) *yaml.Node {
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next := lookup(n, part)
		if i, err := strconv.Atoi(part); err == nil && target(n).Kind == yaml.SequenceNode && i < len(target(n).Content) {
			next = target(n).Content[i]
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}
