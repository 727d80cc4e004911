package store

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// maxForms bounds how many views an entry remembers its object for: the versions that clients use side by side.
const maxForms = 4

// A form is what the data of a custom resource is to one view. Each version of a CustomResourceDefinition has a view of its
// own, and another one after each change of its schema: they convert, default and prune differently. So the index keeps
// the data, which is the same for all of them, and each entry the forms that were asked for.
type form struct {
	view *view
	obj  runtime.Object
	err  error
}

// isCustom tells of a view whose objects have no Go type of their own.
func isCustom(newFunc func() runtime.Object) bool {
	_, custom := newFunc().(runtime.Unstructured)
	return custom
}

// object returns e's object as v's registry knows it, or why it cannot be decoded. It is shared and stays as it is.
func (v *view) object(e *entry) (runtime.Object, error) {
	if e.data == nil {
		return e.obj, e.err
	}
	for {
		known := e.forms.Load()
		if known != nil {
			if at := slices.IndexFunc(*known, func(f form) bool { return f.view == v }); at >= 0 {
				return (*known)[at].obj, (*known)[at].err
			}
		}
		obj, err := v.decode(e.data, e.rev)
		more := append(living(known), form{v, obj, err})
		more = more[max(0, len(more)-maxForms):]
		if e.forms.CompareAndSwap(known, &more) {
			return obj, err
		}
	}
}

// living copies the forms of views that are still in use.
func living(known *[]form) (out []form) {
	if known == nil {
		return nil
	}
	for _, f := range *known {
		select {
		case <-f.view.gone:
		default:
			out = append(out, f)
		}
	}
	return out
}

// newEntry is what v puts under a key: data is obj, encoded. Its revision comes with stamp.
func (v *view) newEntry(key string, obj runtime.Object, data []byte) *entry {
	e := &entry{key: key, obj: obj}
	if v.custom {
		e.obj, e.data = nil, data
		e.forms.Store(&[]form{{view: v, obj: obj}})
	}
	return e
}

// stamp gives e its revision, before anybody reads it.
func (e *entry) stamp(rev uint64) {
	e.rev = rev
	obj := e.obj
	if e.data != nil {
		obj = (*e.forms.Load())[0].obj
	}
	// Every API object has metadata, or it could not have been prepared for storage.
	_ = versioner.UpdateObject(obj, rev)
}

// destroy ends the view's watches, whose clients begin others on the view that takes its place. The objects stay.
func (v *view) destroy() { v.destroyed.Do(func() { close(v.gone) }) }

// readError is what a reader gets in place of an object that could not be decoded.
func readError(key string, err error) error {
	if utilfeature.DefaultFeatureGate.Enabled(features.AllowUnsafeMalformedObjectDeletion) {
		return storage.NewCorruptObjError(key, err)
	}
	return storage.NewInternalError(err)
}
