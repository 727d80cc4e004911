package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"
)

var versioner storage.APIObjectVersioner

// A view is one resource as its registry sees it. Its methods behave as k8s.io/apiserver/pkg/storage/etcd3 does; that
// package and the conformance suite in storage/testing define what the interface leaves open.
type view struct {
	store    *Store
	resource *resource
	config   StorageConfig
	prefix   string // with a slash at both ends

	// custom is set for objects without a Go type; see form. gone is then closed by destroy, else nil.
	custom    bool
	gone      chan struct{}
	destroyed sync.Once

	// sizes is set when Stats shall tell sizes too; Store.mu guards it.
	sizes bool
}

var _ storage.Interface = (*view)(nil)

// load reads the resource's objects from the file.
func (v *view) load() {
	t, size := newIndex(), int64(0)
	err := v.store.file.scan(v.prefix, func(key string, r record) {
		e := v.fromRecord(key, r)
		if e.err != nil {
			v.store.log.Error("An object in the store file cannot be decoded", "key", key, "file", v.store.file.path, "err", e.err)
		}
		t.ReplaceOrInsert(e)
		size += int64(e.size)
		v.store.expirer.add(v.resource, e)
	})
	v.resource.err = err
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	v.resource.tree, v.resource.bytes = t, size
}

// prepareKey comes first in every method: it also keeps callers from a resource that could not be loaded, which would
// look empty.
func (v *view) prepareKey(key string, recursive bool) (string, error) {
	if v.resource.err != nil {
		return "", v.resource.err
	}
	return storage.PrepareKey(v.prefix, key, recursive)
}

// fromRecord makes the entry of what the file has under a key.
func (v *view) fromRecord(key string, r record) *entry {
	e := &entry{key: key, rev: r.rev, size: len(r.data), expiry: r.expiry}
	data := r.data
	if v.config.Transformer != nil {
		data, _, e.err = v.config.Transformer.TransformFromStorage(context.Background(), data, value.DefaultContext(key))
	}
	switch {
	case e.err != nil:
	case v.custom:
		e.data = bytes.Clone(data) // what the file has is only lent
	default:
		e.obj, e.err = v.decode(data, r.rev)
	}
	if e.err != nil {
		e.err = fmt.Errorf("decode %s in %s: %w", key, v.store.file.path, e.err)
	}
	return e
}

func (v *view) decode(data []byte, rev uint64) (runtime.Object, error) {
	obj, _, err := v.config.Codec.Decode(data, nil, v.config.NewFunc())
	if err != nil {
		return nil, err
	}
	// Not every object has metadata; one without is none the worse for lacking a revision.
	_ = versioner.UpdateObject(obj, rev)
	return obj, nil
}

// loadError returns why objects of the resource are not there, all of them in one.
func (v *view) loadError() error {
	errs := []error{v.resource.err}
	t, _ := v.current()
	t.Ascend(func(e *entry) bool {
		if e.err != nil {
			errs = append(errs, e.err)
		}
		return true
	})
	return errors.Join(errs...)
}

// current returns what is visible now.
func (v *view) current() (*index, uint64) {
	v.store.mu.RLock()
	defer v.store.mu.RUnlock()
	return v.resource.tree, v.store.rev
}

// Versioner implements storage.Interface.
func (v *view) Versioner() storage.Versioner { return versioner }

// Get implements storage.Interface.
func (v *view) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	key, err := v.prepareKey(key, false)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	t, rev := v.current()
	if err := atLeast(opts.ResourceVersion, rev); err != nil {
		return err
	}
	e := lookup(t, key)
	if e == nil && opts.IgnoreNotFound {
		return runtime.SetZeroValue(out)
	}
	if e == nil {
		return storage.NewKeyNotFoundError(key, 0)
	}
	obj, err := v.object(e)
	if err != nil {
		return readError(key, err)
	}
	return v.copyInto(out, obj)
}

// atLeast fails if minimum, a resource version, is later than rev.
func atLeast(minimum string, rev uint64) error {
	wanted, err := versioner.ParseResourceVersion(minimum)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	if wanted > rev {
		return storage.NewTooLargeResourceVersionError(wanted, rev, 0)
	}
	return nil
}

// copyInto sets out to a copy of obj, which is shared and stays as it is.
func (v *view) copyInto(out, obj runtime.Object) error {
	if reflect.TypeOf(out) == reflect.TypeOf(obj) {
		reflect.ValueOf(out).Elem().Set(reflect.ValueOf(obj.DeepCopyObject()).Elem())
		return nil
	}
	rev, err := versioner.ObjectResourceVersion(obj)
	if err != nil {
		return err
	}
	plain := obj.DeepCopyObject()
	if err := versioner.PrepareObjectForStorage(plain); err != nil {
		return err
	}
	data, err := runtime.Encode(v.config.Codec, plain)
	if err != nil {
		return err
	}
	if _, _, err := v.config.Codec.Decode(data, nil, out); err != nil {
		return err
	}
	return versioner.UpdateObject(out, rev)
}

// ReadinessCheck implements storage.Interface: it fails from a failed write until the next one that succeeds.
func (v *view) ReadinessCheck() error {
	if err := v.store.health.Load(); err != nil {
		return *err
	}
	return nil
}

// GetCurrentResourceVersion implements storage.Interface.
func (v *view) GetCurrentResourceVersion(context.Context) (uint64, error) {
	_, rev := v.current()
	return rev, nil
}

// CompactRevision implements storage.Interface.
func (v *view) CompactRevision() int64 {
	v.store.mu.RLock()
	defer v.store.mu.RUnlock()
	return int64(v.resource.history.compacted)
}

// Stats implements storage.Interface.
func (v *view) Stats(context.Context) (storage.Stats, error) {
	v.store.mu.RLock()
	defer v.store.mu.RUnlock()
	stats := v.resource.stats()
	if !v.sizes {
		stats.EstimatedAverageObjectSizeBytes = 0
	}
	return stats, nil
}

// EnableResourceSizeEstimation implements storage.Interface. The sizes are known without the keys.
func (v *view) EnableResourceSizeEstimation(storage.KeysFunc) error {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	v.sizes = true
	return nil
}

// RequestWatchProgress implements storage.Interface. Only the watch cache, which is not in use, would ask for it.
func (v *view) RequestWatchProgress(context.Context) error { return nil }
