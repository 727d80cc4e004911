package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rules say what Check holds documents against.
type Rules struct {
	// Scheme has the Go types of the API: usually client-go's. With nil only what every API server demands is
	// checked: apiVersion, kind and name present.
	Scheme *runtime.Scheme
	// Known tells whether the server that will get the documents serves a kind. It is asked for kinds that Scheme
	// lacks, that Kubernetes has removed, or that are not on by default (alpha and beta versions). With nil, kinds
	// of API groups that Scheme does not know at all are let through.
	Known func(schema.GroupVersionKind) bool
	// Definition returns the CustomResourceDefinition that the server has of a kind, or nil. It is asked for kinds that
	// are Known and that no document defines.
	Definition func(schema.GroupVersionKind) *apiextensionsv1.CustomResourceDefinition
	// GenerateName says that metadata.generateName may stand in for metadata.name, as it may for create.
	GenerateName bool
	// Duplicates says what becomes of keys that stand twice in one mapping. Only the last one is sent.
	Duplicates Severity
}

// Severity is what a finding means for the files it is found in.
type Severity int

// The severities, after the API's own levels of field validation:
// https://kubernetes.io/docs/reference/using-api/api-concepts/#validation-for-unrecognized-or-duplicate-fields
const (
	Strict Severity = iota // a Problem
	Warn                   // a Problem that is a warning
	Ignore                 // nothing
)

// File is the text of one manifest. The name is used in messages only.
type File struct {
	Name string
	Data []byte
}

// CheckFiles parses and checks files that are to be sent together. It returns everything that is wrong with them, in
// the order of the files and of their lines.
func CheckFiles(files []File, rules Rules) []Problem {
	var docs []Document
	found := make(map[string][]Problem)
	for _, f := range files {
		d, problems := Parse(f.Name, f.Data)
		docs = append(docs, d...)
		found[f.Name] = append(found[f.Name], problems...)
	}
	for _, p := range Check(docs, rules) {
		found[p.File] = append(found[p.File], p)
	}
	var all []Problem
	for _, f := range files {
		sortByPosition(found[f.Name])
		all = append(all, slices.Compact(found[f.Name])...) // a file may have been named twice
		delete(found, f.Name)
	}
	return all
}

// Check returns everything that is wrong with the documents, one after the other. A kind that another of the
// documents defines (as CustomResourceDefinition) is known, with its schema.
func Check(docs []Document, rules Rules) []Problem {
	kinds := newKinds(rules, docs)
	var problems []Problem
	for _, d := range docs {
		c := checker{kinds: kinds, rules: rules, file: d.Name, seen: make(map[visit]bool)}
		c.object(d.Node, "")
		sortByPosition(c.problems)
		problems = append(problems, c.problems...)
	}
	return problems
}

// checker walks one document.
type checker struct {
	kinds    *kinds
	rules    Rules
	file     string
	problems []Problem
	// seen has the mappings and lists that have been held against a type. Through aliases the same text can be
	// reached by very many paths; it is judged once for each type.
	seen map[visit]bool
	// enclosing has the mappings that lead to the place being checked, the document first.
	enclosing []enclosure
}

type visit struct {
	node *yaml.Node
	typ  reflect.Type // nil: anything
	top  bool         // as an object with apiVersion and kind
}

// first tells whether this visit is a new one.
func (c *checker) first(v visit) bool {
	if c.seen[v] {
		return false
	}
	c.seen[v] = true
	return true
}

func (c *checker) report(at *yaml.Node, path, suggestion, format string, args ...any) {
	c.problems = append(c.problems, Problem{File: c.file, Line: at.Line, Column: at.Column, Path: path,
		Message: fmt.Sprintf(format, args...), Suggestion: suggestion})
}

// duplicate reports a key that stands twice in its mapping, under the same name or under two that YAML takes
// for the same value.
func (c *checker) duplicate(key, earlier *yaml.Node, name, path string) {
	if c.rules.Duplicates == Ignore {
		return
	}
	both := ""
	if one, other := typedName(earlier), typedName(key); one != other {
		both = fmt.Sprintf(" as %s: YAML takes both for %s", one, name)
	}
	c.report(key, path, "", "duplicate key, first on line %d%s", earlier.Line, both)
	c.problems[len(c.problems)-1].Warning = c.rules.Duplicates == Warn
}

// object checks a value that must be a Kubernetes object.
func (c *checker) object(n *yaml.Node, path string) {
	node := target(n)
	if node.Kind != yaml.MappingNode {
		c.report(n, path, "", "must be an object with apiVersion and kind, got %s", kindOf(node))
		return
	}
	if !c.first(visit{node: node, top: true}) {
		return
	}
	typ, custom, ok := c.typeOf(node, path)
	c.value(node, typ, path)
	if custom != nil {
		c.schema(node, custom, path)
	}
	switch {
	case typ == listType:
		c.objects(node, path)
	case ok:
		c.name(node, typ, path)
	}
}

// objects checks the items of a v1 List, which may be of any kind.
func (c *checker) objects(node *yaml.Node, path string) {
	items := lookup(node, "items")
	if items == nil || kindOf(items) != list {
		return
	}
	for i, item := range target(items).Content {
		c.object(item, fmt.Sprintf("%s[%d]", join(path, "items"), i))
	}
}

var (
	listType       = reflect.TypeFor[corev1.List]()
	anyObjectType  = reflect.TypeFor[anyObject]()
	bareObjectType = reflect.TypeFor[bareObject]()
)

// anyObject is what is known of an object whose kind has no Go type.
type anyObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Rest              map[string]any `json:",inline"`
}

// bareObject is what is known of an object without a scheme: newer servers may have new metadata too.
type bareObject struct {
	metav1.TypeMeta `json:",inline"`
	Rest            map[string]any `json:",inline"`
}

// typeOf returns the Go type that the object's apiVersion and kind name, or failing that the one they probably
// meant, or failing that the little that holds for all objects; custom is nil for kinds that are not; ok is false if it is
// no object that anyone knows.
func (c *checker) typeOf(node *yaml.Node, path string) (typ reflect.Type, custom *custom, ok bool) {
	apiVersion, kind := lookup(node, "apiVersion"), lookup(node, "kind")
	version, name := "", ""
	if apiVersion != nil {
		version = stringOf(apiVersion)
	}
	if kind != nil {
		name = stringOf(kind)
	}
	v := c.kinds.judge(version, name)
	switch {
	case missing(apiVersion) && v.blamesVersion:
		c.report(node, join(path, "apiVersion"), v.suggestion, "missing")
	case missing(apiVersion):
		c.report(node, join(path, "apiVersion"), "", "missing")
	case v.blamesVersion && version != "":
		c.report(apiVersion, join(path, "apiVersion"), v.suggestion, "%s", v.message)
	}
	switch {
	case missing(kind):
		c.report(node, join(path, "kind"), "", "missing")
	case v.message != "" && !v.blamesVersion && name != "":
		c.report(kind, join(path, "kind"), v.suggestion, "%s", v.message)
	}
	return v.typ, v.custom, v.message == "" || v.suggestion != "" || version == "" || name == ""
}

// missing tells whether a required string is absent or empty. One that is not a string is present: the type check
// reports it.
func missing(n *yaml.Node) bool {
	if n == nil {
		return true
	}
	k, v := scalarOf(n)
	return k == null || v == ""
}

// name checks that the object says what it is called.
func (c *checker) name(node *yaml.Node, typ reflect.Type, path string) {
	if !hasName(node, typ) {
		return
	}
	at, metadata := node, lookup(node, "metadata")
	if metadata != nil && kindOf(metadata) != null {
		if kindOf(metadata) != mapping {
			return // reported by the type check
		}
		at = target(metadata)
	}
	if name := lookup(at, "name"); at != node && !missing(name) {
		return
	}
	generate := lookup(at, "generateName")
	switch {
	case at == node || missing(generate):
		c.report(at, join(path, "metadata.name"), "", "missing")
	case !c.rules.GenerateName:
		c.report(generate, join(path, "metadata.name"), "", "missing: generateName works with create only")
	}
}

// hasName tells whether objects of this type are sent under a name: lists and questions to the server are not.
func hasName(node *yaml.Node, typ reflect.Type) bool {
	if typ == bareObjectType && isQuestion(stringAt(node, "apiVersion")) {
		return false
	}
	if typ == anyObjectType || typ == bareObjectType {
		items := lookup(node, "items")
		return items == nil || kindOf(items) != list
	}
	if isCustom(typ) {
		return true
	}
	if _, ok := reflect.Zero(reflect.PointerTo(typ)).Interface().(metav1.Object); !ok {
		return false
	}
	group := typ.PkgPath()
	return !strings.Contains(group, "/authentication/") && !strings.Contains(group, "/authorization/")
}

// isQuestion tells whether the objects of an API group are questions to the server, which stores none of them.
func isQuestion(apiVersion string) bool {
	return strings.HasPrefix(apiVersion, "authentication.k8s.io/") || strings.HasPrefix(apiVersion, "authorization.k8s.io/")
}
