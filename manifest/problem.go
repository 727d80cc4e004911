package manifest

import (
	"cmp"
	"fmt"
	"slices"
)

// Problem is one thing that is wrong with a manifest, at the place where a person would fix it.
type Problem struct {
	// File is the name that was given to Parse.
	File string
	// Line and Column count from 1; Column counts characters, not bytes.
	Line, Column int
	// Path leads to the field, as Kubernetes writes paths: spec.containers[0].image,
	// metadata.labels[app.kubernetes.io/name]. Empty for what concerns the whole document.
	Path string
	// Message says what is wrong, in lower case and without a full stop.
	Message string
	// Suggestion is what was probably meant; empty if there is no good guess.
	Suggestion string
	// Warning says that the manifest can be sent all the same.
	Warning bool
}

// String returns the problem as one line: file:line:column: path: what is wrong (did you mean "image"?).
func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Path != "" {
		s += p.Path + ": "
	}
	s += p.Message
	if p.Suggestion != "" {
		s += fmt.Sprintf(" (did you mean %q?)", p.Suggestion)
	}
	return s
}

// sortByPosition orders the problems of one file.
func sortByPosition(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
