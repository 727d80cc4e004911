package store

import (
	"context"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// The words for reads of the past that is gone, as clients and people know them from etcd.
const (
	listExpired     = "The resourceVersion for the provided list is too old."
	watchExpired    = "The resourceVersion for the provided watch is too old."
	continueExpired = "The provided continue parameter is too old to display a consistent list result. You can start a new " +
		"list without the continue parameter, or use the continue token in this response to retrieve the remainder of the " +
		"results. Continuing with the provided token results in an inconsistent list - objects that were created, " +
		"modified, or deleted between the time the first chunk was returned and now may show up in the list."
)

// checkEvery is after how many objects a list looks whether its client is still there.
const checkEvery = 256

// GetList implements storage.Interface.
func (v *view) GetList(ctx context.Context, key string, opts storage.ListOptions, listObj runtime.Object) error {
	prefix, err := v.prepareKey(key, opts.Recursive)
	if err != nil {
		return err
	}
	itemsPtr, err := meta.GetItemsPtr(listObj)
	if err != nil {
		return err
	}
	items, err := conversion.EnforcePtr(itemsPtr)
	if err != nil || items.Kind() != reflect.Slice {
		return fmt.Errorf("need a pointer to a slice, got %T: %w", itemsPtr, err)
	}
	at, start, err := storage.ValidateListOptions(prefix, versioner, opts)
	if err != nil {
		return err
	}
	t, rev, err := v.at(uint64(max(at, 0)), opts.ResourceVersion)
	if apierrors.IsResourceExpired(err) && opts.Predicate.Continue != "" {
		return continueError(start, prefix)
	}
	if err != nil {
		return err
	}
	p := &page{view: v, pred: opts.Predicate, items: items}
	if opts.Recursive {
		p.fill(ctx, t, prefix, start)
	} else if e := lookup(t, prefix); e != nil {
		p.add(e)
	}
	if p.err != nil {
		return p.err
	}
	return p.finish(listObj, rev, prefix, opts)
}

// at returns the index as of rev, or the current one for 0, with its revision. It fails if that is gone, or if the
// current one is older than the resource version minimum.
func (v *view) at(rev uint64, minimum string) (*index, uint64, error) {
	v.store.mu.RLock()
	t, now, compacted := v.resource.tree, v.store.rev, max(v.resource.history.compacted, v.store.expired)
	var later []event
	if rev != 0 && rev < now {
		later = v.resource.history.after(rev)
	}
	v.store.mu.RUnlock()
	switch {
	case rev > now:
		return nil, 0, storage.NewTooLargeResourceVersionError(rev, now, 0)
	case rev != 0 && rev < compacted:
		return nil, 0, apierrors.NewResourceExpired(listExpired)
	case rev != 0:
		return v.resource.undo(t, later), rev, nil
	default:
		return t, now, atLeast(minimum, now)
	}
}

// continueError is a 410 with a token that continues at the same key in the list as it is then: its revision -1 says so.
func continueError(start, prefix string) error {
	token, err := storage.EncodeContinue(start, prefix, -1)
	if err != nil {
		return apierrors.NewResourceExpired(listExpired)
	}
	gone := apierrors.NewResourceExpired(continueExpired)
	gone.ErrStatus.ListMeta.Continue = token
	return gone
}

// A page gathers the items of one list response.
type page struct {
	view  *view
	pred  storage.SelectionPredicate
	items reflect.Value

	count int64  // keys from the start of the page on, known for a predicate that selects all
	last  string // the key looked at last
	more  bool   // there are keys after it
	err   error
}

func (p *page) full() bool { return p.pred.Limit > 0 && int64(p.items.Len()) >= p.pred.Limit }

// fill adds the entries under prefix from the key start on until the page is full.
func (p *page) fill(ctx context.Context, t *index, prefix, start string) {
	if p.pred.Empty() {
		p.count = count(t, prefix, start, p.view.prefix)
		p.grow(int(p.count))
	}
	n := 0
	scan(t, prefix, start, func(e *entry) bool {
		if p.full() {
			p.more = true
			return false
		}
		if n++; n%checkEvery == 0 && ctx.Err() != nil {
			p.err = storage.NewTimeoutError(e.key, "request did not complete within requested timeout")
			return false
		}
		p.last = e.key
		p.add(e)
		return p.err == nil
	})
}

func count(t *index, prefix, start, all string) (n int64) {
	if prefix == all && start == "" {
		return int64(t.Len())
	}
	scan(t, prefix, start, func(*entry) bool { n++; return true })
	return n
}

// grow makes room for n items, or for a page of them.
func (p *page) grow(n int) {
	if p.pred.Limit > 0 {
		n = min(n, int(p.pred.Limit))
	}
	p.items.Set(reflect.MakeSlice(p.items.Type(), 0, n))
}

// add appends e's object if the predicate selects it. What the item points to is the store's: as with the items that the API
// server's watch cache lists, its fields may be set, and what they refer to may not be changed. Custom resources refer to
// everything that is in them, and are copied.
func (p *page) add(e *entry) {
	obj, err := p.view.object(e)
	if err != nil {
		p.err = readError(e.key, err)
		return
	}
	if matched, err := p.pred.Matches(obj); err != nil || !matched {
		return
	}
	if itemType := p.items.Type().Elem(); reflect.TypeOf(obj) == reflect.PointerTo(itemType) {
		if p.view.custom {
			obj = obj.DeepCopyObject()
		}
		p.items.Set(reflect.Append(p.items, reflect.ValueOf(obj).Elem()))
	} else {
		item := reflect.New(itemType)
		if p.err = p.view.copyInto(item.Interface().(runtime.Object), obj); p.err == nil {
			p.items.Set(reflect.Append(p.items, item.Elem()))
		}
	}
}

// finish sets the list's own metadata.
func (p *page) finish(listObj runtime.Object, rev uint64, prefix string, opts storage.ListOptions) error {
	if p.items.IsNil() {
		p.items.Set(reflect.MakeSlice(p.items.Type(), 0, 0)) // an empty list is [], not null
	}
	token, remaining, err := storage.PrepareContinueToken(p.last, prefix, int64(rev), p.count, p.more, opts)
	if err != nil {
		return err
	}
	if err := versioner.UpdateList(listObj, rev, token, remaining); err != nil {
		return err
	}
	opts.Predicate.SetShardInfoOnList(listObj)
	return nil
}
