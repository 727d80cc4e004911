package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	apiversion "k8s.io/apimachinery/pkg/version"
	baseversion "k8s.io/component-base/version"
)

// kinds tells which kinds exist.
type kinds struct {
	rules    Rules
	declared map[schema.GroupVersionKind]*yaml.Node // the CustomResourceDefinitions among the documents
	asked    map[schema.GroupVersionKind]bool       // what Rules.Known answered
	customs  map[schema.GroupVersionKind]*custom    // nil where nothing is known
}

// verdict is what is known of an apiVersion and a kind.
type verdict struct {
	typ           reflect.Type // never nil
	custom        *custom      // nil if the kind has a Go type, or no schema that we know
	message       string       // empty: all is well
	blamesVersion bool         // the message is about the apiVersion, not the kind
	suggestion    string       // for the blamed field
}

func newKinds(rules Rules, docs []Document) *kinds {
	k := &kinds{rules: rules, declared: make(map[schema.GroupVersionKind]*yaml.Node), asked: make(map[schema.GroupVersionKind]bool),
		customs: make(map[schema.GroupVersionKind]*custom)}
	for _, d := range docs {
		if d.Kind == definitionKind {
			k.declare(d.Node)
		}
	}
	return k
}

// declare notes the kinds that a CustomResourceDefinition will define.
func (k *kinds) declare(crd *yaml.Node) {
	versions := at(crd, "spec", "versions")
	if versions == nil || kindOf(versions) != list {
		return
	}
	for _, v := range target(versions).Content {
		for _, kind := range []string{"kind", "listKind"} {
			k.declared[schema.GroupVersionKind{Group: stringAt(crd, "spec", "group"), Version: stringAt(v, "name"),
				Kind: stringAt(crd, "spec", "names", kind)}] = crd
		}
	}
}

// at returns the node that a path of fields leads to, or nil.
func at(n *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		n = lookup(n, name)
	}
	return n
}

func stringAt(n *yaml.Node, path ...string) string {
	if n = at(n, path...); n == nil {
		return ""
	}
	return stringOf(n)
}

// judge finds the type of a kind. Either argument may be empty.
func (k *kinds) judge(apiVersion, kind string) verdict {
	gv, err := schema.ParseGroupVersion(apiVersion)
	gvk := gv.WithKind(kind)
	switch {
	case k.rules.Scheme == nil && apiVersion == "v1" && kind == "List":
		return verdict{typ: listType}
	case k.rules.Scheme == nil:
		return verdict{typ: bareObjectType}
	case err != nil:
		return verdict{typ: anyObjectType, blamesVersion: true, message: "must be VERSION or GROUP/VERSION"}
	case k.rules.Scheme.Recognizes(gvk):
		return k.recognized(gvk)
	case k.declared[gvk] != nil, k.known(gvk):
		if c := k.custom(gvk); c != nil {
			return verdict{typ: c.typ, custom: c}
		}
		return verdict{typ: anyObjectType}
	}
	return k.unknown(gvk)
}

// known asks the server, once for each kind.
func (k *kinds) known(gvk schema.GroupVersionKind) bool {
	if k.rules.Known == nil || gvk.Kind == "" || gvk.Version == "" {
		return false
	}
	answer, ok := k.asked[gvk]
	if !ok {
		answer = k.rules.Known(gvk)
		k.asked[gvk] = answer
	}
	return answer
}

// recognized judges a kind that has a Go type. Kubernetes keeps the types of versions that it no longer serves.
func (k *kinds) recognized(gvk schema.GroupVersionKind) verdict {
	obj, err := k.rules.Scheme.New(gvk)
	if err != nil {
		return verdict{typ: anyObjectType}
	}
	typ := reflect.TypeOf(obj).Elem()
	if !isResource(typ) {
		return verdict{typ: anyObjectType, message: fmt.Sprintf("%s is no kind of object that can be stored", gvk.Kind)}
	}
	if removed(obj) && !k.known(gvk) {
		v := verdict{typ: typ, blamesVersion: true, message: fmt.Sprintf("%s no longer serves %s", gvk.GroupVersion(), gvk.Kind)}
		if r, ok := obj.(replaced); ok && k.rules.Scheme.Recognizes(r.APILifecycleReplacement()) {
			v = k.suggest(v, r.APILifecycleReplacement())
		}
		return v
	}
	if preview(gvk.Version) && k.rules.Known != nil && !k.known(gvk) {
		return verdict{typ: typ, blamesVersion: true, message: fmt.Sprintf("%s is not served", gvk.GroupVersion())}
	}
	return verdict{typ: typ}
}

// isResource tells whether a type is an object or a list of objects, not a set of options for a request.
func isResource(typ reflect.Type) bool {
	if _, ok := reflect.Zero(reflect.PointerTo(typ)).Interface().(metav1.Object); ok {
		return true
	}
	_, hasItems := typ.FieldByName("Items")
	return hasItems
}

// The generated methods of types that come and go with a version of Kubernetes.
type (
	removable interface {
		APILifecycleRemoved() (major, minor int)
	}
	replaced interface {
		APILifecycleReplacement() schema.GroupVersionKind
	}
)

// removed tells whether the Kubernetes that we are built from still serves a type.
func removed(obj runtime.Object) bool {
	r, ok := obj.(removable)
	if !ok {
		return false
	}
	major, minor := r.APILifecycleRemoved()
	now := version.MustParseGeneric(baseversion.DefaultKubeBinaryVersion)
	return now.AtLeast(version.MajorMinor(uint(major), uint(minor)))
}

// preview tells whether a version of an API group is one that servers do not serve unless told to.
func preview(version string) bool {
	return strings.Contains(version, "alpha") || strings.Contains(version, "beta")
}

// suggest makes the verdict propose another version for the kind, and its type.
func (k *kinds) suggest(v verdict, gvk schema.GroupVersionKind) verdict {
	v.suggestion, v.blamesVersion = gvk.GroupVersion().String(), true
	if obj, err := k.rules.Scheme.New(gvk); err == nil {
		v.typ = reflect.TypeOf(obj).Elem()
	}
	return v
}

// unknown judges a kind that nobody knows, and guesses which one was meant.
func (k *kinds) unknown(gvk schema.GroupVersionKind) verdict {
	v := verdict{typ: anyObjectType}
	switch {
	case gvk.Group == "kustomize.config.k8s.io":
		v.message = "is for kustomize: give its directory with -k"
		return v
	case k.rules.Known == nil && !k.rules.Scheme.IsGroupRegistered(gvk.Group):
		return v // the server may know
	}
	v.message = fmt.Sprintf("unknown kind %q", gvk.Kind)
	if !gvk.GroupVersion().Empty() {
		v.message += fmt.Sprintf(" in %s", gvk.GroupVersion())
	}
	if !ofKubernetes(gvk.Group) {
		return v
	}
	if same := k.candidates(func(c schema.GroupVersionKind) bool { return c.Kind == gvk.Kind }); len(same) > 0 {
		v.message = fmt.Sprintf("%s has no kind %s", gvk.GroupVersion(), gvk.Kind)
		return k.suggest(v, same[0])
	}
	return k.respell(v, gvk)
}

// ofKubernetes tells whether a group is named like Kubernetes' own. Elsewhere a kind of the same name is another.
func ofKubernetes(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// respell looks for the kind that a misspelt one was meant to be, first in its own group.
func (k *kinds) respell(v verdict, gvk schema.GroupVersionKind) verdict {
	sameVersion := func(c schema.GroupVersionKind) bool { return c.GroupVersion() == gvk.GroupVersion() }
	anyVersion := func(schema.GroupVersionKind) bool { return true }
	for _, filter := range []func(schema.GroupVersionKind) bool{sameVersion, anyVersion} {
		candidates := k.candidates(filter)
		if meant := Nearest(gvk.Kind, kindNames(candidates)); meant != "" {
			i := slices.IndexFunc(candidates, func(c schema.GroupVersionKind) bool { return c.Kind == meant })
			v = k.suggest(v, candidates[i])
			v.suggestion, v.blamesVersion = meant, false
			return v
		}
	}
	return v
}

// candidates returns the kinds that a manifest can name and that pass the filter, the best version of each first.
func (k *kinds) candidates(filter func(schema.GroupVersionKind) bool) []schema.GroupVersionKind {
	var all []schema.GroupVersionKind
	for gvk, typ := range k.rules.Scheme.AllKnownTypes() {
		obj, ok := reflect.New(typ).Interface().(runtime.Object)
		if ok && gvk.Version != runtime.APIVersionInternal && filter(gvk) && isResource(typ) && !removed(obj) {
			all = append(all, gvk)
		}
	}
	slices.SortFunc(all, func(a, b schema.GroupVersionKind) int {
		if c := apiversion.CompareKubeAwareVersionStrings(b.Version, a.Version); c != 0 {
			return c
		}
		return strings.Compare(a.String(), b.String())
	})
	return all
}

func kindNames(gvks []schema.GroupVersionKind) []string {
	names := make([]string, len(gvks))
	for i, gvk := range gvks {
		names[i] = gvk.Kind
	}
	return names
}
