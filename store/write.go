package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// Create implements storage.Interface.
func (v *view) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	key, err := v.prepareKey(key, false)
	if err != nil {
		return err
	}
	if rev, err := versioner.ObjectResourceVersion(obj); err == nil && rev != 0 {
		return storage.ErrResourceVersionSetOnCreate
	}
	if t, _ := v.current(); lookup(t, key) != nil {
		return storage.NewKeyExistsError(key, 0)
	}
	data, err := v.encode(obj)
	if err != nil {
		return err
	}
	e, err := v.put(ctx, key, nil, data, expiryOf(&ttl, nil))
	if errors.Is(err, errConflict) {
		return storage.NewKeyExistsError(key, 0)
	}
	if err != nil || out == nil {
		return err
	}
	return v.copyEntry(out, e)
}

// GuaranteedUpdate implements storage.Interface. It has no use for a suggestion: the current object is in memory.
func (v *view) GuaranteedUpdate(
	ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, _ runtime.Object,
) error {
	key, err := v.prepareKey(key, false)
	if err != nil {
		return err
	}
	if _, err := conversion.EnforcePtr(destination); err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %w", err)
	}
	for {
		t, _ := v.current()
		cur := lookup(t, key)
		e, err := v.tryOnce(ctx, key, cur, destination, ignoreNotFound, preconditions, tryUpdate)
		if errors.Is(err, errConflict) {
			continue
		}
		if err != nil {
			return err
		}
		return v.copyEntry(destination, e)
	}
}

// tryOnce runs tryUpdate on cur and commits the outcome, unless it is the same. It fails with errConflict when cur is no
// longer current.
func (v *view) tryOnce(
	ctx context.Context, key string, cur *entry, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc,
) (*entry, error) {
	if cur == nil && !ignoreNotFound {
		return nil, storage.NewKeyNotFoundError(key, 0)
	}
	input, err := v.inputFor(cur, destination)
	if err != nil {
		return nil, err
	}
	if err := preconditions.Check(key, input); err != nil {
		return nil, err
	}
	output, ttl, err := tryUpdate(input, storage.ResponseMeta{TTL: ttlOf(cur), ResourceVersion: revisionOf(cur)})
	if err != nil {
		return nil, err
	}
	data, err := v.encode(output)
	if err != nil {
		return nil, err
	}
	if cur != nil {
		if same, err := v.isStored(ctx, cur, data); same || err != nil {
			return cur, err
		}
	}
	return v.put(ctx, key, cur, data, expiryOf(ttl, cur))
}

// inputFor returns what tryUpdate may change: a copy of cur, or an empty object if there is none.
func (v *view) inputFor(cur *entry, destination runtime.Object) (runtime.Object, error) {
	if cur == nil {
		if u, ok := destination.(runtime.Unstructured); ok {
			return u.NewEmptyInstance(), nil
		}
		return reflect.New(reflect.TypeOf(destination).Elem()).Interface().(runtime.Object), nil
	}
	obj, err := v.object(cur)
	if err != nil {
		return nil, readError(cur.key, err)
	}
	return obj.DeepCopyObject(), nil
}

// Delete implements storage.Interface. It has no use for a suggestion: the current object is in memory.
func (v *view) Delete(
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, _ runtime.Object, opts storage.DeleteOptions,
) error {
	key, err := v.prepareKey(key, false)
	if err != nil {
		return err
	}
	if _, err := conversion.EnforcePtr(out); err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %w", err)
	}
	unsafe := opts.IgnoreStoreReadError && utilfeature.DefaultFeatureGate.Enabled(features.AllowUnsafeMalformedObjectDeletion)
	for {
		t, _ := v.current()
		cur := lookup(t, key)
		if cur == nil {
			return storage.NewKeyNotFoundError(key, 0)
		}
		last, err := v.mayDelete(ctx, cur, preconditions, validateDeletion, unsafe)
		if err != nil {
			return err
		}
		rev, err := v.store.commit(ctx, &op{resource: v.resource, key: key, expect: cur.rev})
		if errors.Is(err, errConflict) {
			continue
		}
		if err != nil || last == nil {
			return err
		}
		if err := v.copyInto(out, last); err != nil {
			return err
		}
		return versioner.UpdateObject(out, rev)
	}
}

// mayDelete returns what would be deleted; nil if that cannot be decoded and does not have to be.
func (v *view) mayDelete(
	ctx context.Context, cur *entry, preconditions *storage.Preconditions, validate storage.ValidateObjectFunc, unsafe bool,
) (runtime.Object, error) {
	last, err := v.object(cur)
	if err != nil {
		if unsafe {
			return nil, nil
		}
		return nil, readError(cur.key, err)
	}
	obj := last.DeepCopyObject()
	if err := preconditions.Check(cur.key, obj); err != nil {
		return nil, err
	}
	return last, validate(ctx, obj)
}

// encode makes the bytes of obj without its revision, which lies beside them.
func (v *view) encode(obj runtime.Object) ([]byte, error) {
	if err := versioner.PrepareObjectForStorage(obj); err != nil {
		return nil, fmt.Errorf("PrepareObjectForStorage failed: %w", err)
	}
	return runtime.Encode(v.config.Codec, obj)
}

// put commits data as the successor of cur and returns what readers see from then on. That is decoded from data, so that
// it is the same after a restart.
func (v *view) put(ctx context.Context, key string, cur *entry, data []byte, expiry int64) (*entry, error) {
	obj, err := v.decode(data, 0)
	if err != nil {
		return nil, err
	}
	e := v.newEntry(key, obj, data)
	if v.config.Transformer != nil {
		if data, err = v.config.Transformer.TransformToStorage(ctx, data, value.DefaultContext(key)); err != nil {
			return nil, storage.NewInternalError(err)
		}
	}
	e.size, e.expiry = len(data), expiry
	_, err = v.store.commit(ctx, &op{resource: v.resource, key: key, expect: revisionOf(cur), put: e, data: data})
	return e, err
}

// copyEntry sets out to a copy of e's object.
func (v *view) copyEntry(out runtime.Object, e *entry) error {
	obj, err := v.object(e)
	if err != nil {
		return readError(e.key, err)
	}
	return v.copyInto(out, obj)
}

// isStored tells whether the file has exactly data for cur, encrypted as it would be now.
func (v *view) isStored(ctx context.Context, cur *entry, data []byte) (same bool, err error) {
	if v.config.Transformer == nil && cur.size != len(data) {
		return false, nil
	}
	err = v.store.file.read(cur.key, func(r record, ok bool) error {
		if !ok || r.rev != cur.rev { // about to change: the write will find out
			return nil
		}
		stored, stale := r.data, false
		if v.config.Transformer != nil {
			stored, stale, err = v.config.Transformer.TransformFromStorage(ctx, stored, value.DefaultContext(cur.key))
			if err != nil {
				return storage.NewInternalError(err)
			}
		}
		same = !stale && bytes.Equal(stored, data)
		return nil
	})
	return same, err
}

// expiryOf turns a time to live in seconds into a point in time. nil keeps what cur has, 0 means never.
func expiryOf(ttl *uint64, cur *entry) int64 {
	switch {
	case ttl == nil && cur != nil:
		return cur.expiry
	case ttl == nil || *ttl == 0:
		return 0
	default:
		return time.Now().UnixMilli() + int64(*ttl)*1000
	}
}

// ttlOf returns how many seconds e has left, 0 if it does not expire.
func ttlOf(e *entry) int64 {
	if e == nil || e.expiry == 0 {
		return 0
	}
	return max(1, time.Until(time.UnixMilli(e.expiry)).Milliseconds()/1000)
}
