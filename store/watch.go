package store

import (
	"context"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
)

const (
	// watchBuffer is how many events a watch copies ahead of its client, to save switches between goroutines.
	watchBuffer = 64
	// watchBatch is how many events a watch takes from the history at once.
	watchBatch = 64
	// lastBookmark is how long before its deadline a watch gets one more bookmark, so that the client need not list
	// again; as the API server's watch cache.
	lastBookmark = 2 * time.Second
	// tooLargeRetry is when a client that knows a revision that we don't may ask again, in seconds.
	tooLargeRetry = 1
)

// A watcher follows the history of one resource for one client.
type watcher struct {
	view      *view
	key       string
	recursive bool
	pred      storage.SelectionPredicate
	bookmarks bool

	ctx    context.Context
	cancel context.CancelFunc
	result chan watch.Event
	next   uint64 // sequence number in the history
}

var errStopped = errors.New("watch has been stopped")

// Watch implements storage.Interface. With sendInitialEvents, or at no revision in particular, the watch begins with
// ADDED events for what there is, and, if bookmarks are allowed with sendInitialEvents, a bookmark that ends them; see
// https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists.
func (v *view) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	key, err := v.prepareKey(key, opts.Recursive)
	if err != nil {
		return nil, err
	}
	rev, err := versioner.ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	w := &watcher{
		view:      v,
		key:       key,
		recursive: opts.Recursive,
		pred:      opts.Predicate,
		bookmarks: opts.ProgressNotify || opts.Predicate.AllowWatchBookmarks,
		result:    make(chan watch.Event, watchBuffer),
	}
	if err := v.store.startWatch(ctx, w, rev, opts); err != nil {
		return nil, err
	}
	utilflowcontrol.WatchInitialized(ctx)
	return w, nil
}

func (s *Store) startWatch(ctx context.Context, w *watcher, rev uint64, opts storage.ListOptions) error {
	initial := rev == 0
	if opts.SendInitialEvents != nil {
		initial = *opts.SendInitialEvents
	}
	// Not in the goroutine: whoever has the watch may rely on hearing of what it does next.
	t, now, err := w.begin(rev, initial)
	s.queueMu.Lock() // Close waits for no watch that begins after it
	defer s.queueMu.Unlock()
	if s.closed {
		return ErrClosed
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	s.watches.Go(func() {
		defer close(w.result)
		defer w.cancel()
		if err == nil && initial {
			err = w.sendInitial(t, now, opts)
		}
		t = nil // lets go of what is deleted later
		if err == nil {
			err = w.follow()
		}
		if !errors.Is(err, errStopped) {
			status := statusOf(err)
			_ = w.send(watch.Event{Type: watch.Error, Object: &status}) // nobody is there to be told
		}
	})
	return nil
}

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.cancel() }

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.result }

// sendInitial sends what there was at the revision now, and a bookmark when it is asked for.
func (w *watcher) sendInitial(t *index, now uint64, opts storage.ListOptions) error {
	if err := w.sendAll(t); err != nil {
		return err
	}
	if opts.SendInitialEvents != nil && opts.Predicate.AllowWatchBookmarks {
		return w.sendBookmark(now, true)
	}
	return nil
}

// begin sets the cursor to the first event after rev, or after the current revision; it returns the latter and the index
// as of then.
func (w *watcher) begin(rev uint64, initial bool) (*index, uint64, error) {
	s, r := w.view.store, w.view.resource
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch h := &r.history; {
	case rev > s.rev:
		return nil, 0, storage.NewTooLargeResourceVersionError(rev, s.rev, tooLargeRetry)
	case initial || rev == 0:
		w.next = h.end()
	case rev < h.compacted:
		return nil, 0, apierrors.NewResourceExpired(watchExpired)
	default:
		w.next = h.first + uint64(h.index(rev))
	}
	return r.tree, s.rev, nil
}

func (w *watcher) sendAll(t *index) error {
	var err error
	visit := func(e *entry) bool {
		err = w.sendEntry(e)
		return err == nil
	}
	if w.recursive {
		scan(t, w.key, "", visit)
	} else if e := lookup(t, w.key); e != nil {
		visit(e)
	}
	return err
}

func (w *watcher) sendEntry(e *entry) error {
	obj, err := w.view.object(e)
	if err != nil {
		return readError(e.key, err)
	}
	if !w.selects(obj) {
		return nil
	}
	return w.send(watch.Event{Type: watch.Added, Object: obj.DeepCopyObject()})
}

// follow sends what happens, until the watch ends or the history has moved on without it.
func (w *watcher) follow() error {
	s, r := w.view.store, w.view.resource
	timer := newBookmarkTimer(w.ctx, w.bookmarks, s.opts.BookmarkInterval)
	defer timer.stop()
	var buf []event
	for {
		s.mu.RLock()
		events, ok := r.history.batch(buf, w.next, watchBatch)
		rev, changed := s.rev, r.changed
		s.mu.RUnlock()
		if !ok {
			return apierrors.NewResourceExpired(watchExpired)
		}
		for i := range events {
			if err := w.sendEvent(&events[i]); err != nil {
				return err
			}
		}
		w.next += uint64(len(events))
		clear(events) // keeps no object alive while waiting
		if buf = events; len(events) > 0 {
			continue
		}
		if timer.due {
			if err := w.sendBookmark(rev, false); err != nil {
				return err
			}
			timer.reset()
		}
		select {
		case <-changed:
		case <-timer.c():
			timer.due = true
		case <-w.ctx.Done():
			return errStopped
		case <-w.view.gone:
			return errStopped
		case <-s.closing:
			return errStopped
		}
	}
}

// sendEvent sends what e means to this watch: an object that begins or ceases to match comes or goes.
func (w *watcher) sendEvent(e *event) error {
	if !w.covers(e.key) {
		return nil
	}
	prev, prevErr := w.side(e.prev)
	cur, curErr := w.side(e.cur)
	if curErr != nil {
		return readError(e.key, curErr)
	}
	if e.cur == nil && prevErr != nil {
		return deletedUnread(prevErr)
	}
	was, is := prev != nil && w.selects(prev), cur != nil && w.selects(cur)
	switch {
	case was && is:
		return w.sendShared(watch.Modified, e, cur)
	case is:
		return w.sendShared(watch.Added, e, cur)
	case was && e.cur == nil:
		return w.sendShared(watch.Deleted, e, prev)
	case was: // for this watch only
		obj, err := deletedAt(prev, e.rev)
		if err != nil {
			return err
		}
		return w.send(watch.Event{Type: watch.Deleted, Object: obj})
	default:
		return nil
	}
}

// sendShared sends the object that all watches send of e. Custom resources are another object in each version, and each
// watch sends its own.
func (w *watcher) sendShared(t watch.EventType, e *event, obj runtime.Object) error {
	var sent share
	from := e.sent
	if w.view.custom {
		from = &sent
	}
	object, err := from.get(func() (*shared, error) {
		if t != watch.Deleted {
			return &shared{object: obj}, nil
		}
		gone, err := deletedAt(obj, e.rev)
		return &shared{object: gone}, err
	})
	if err != nil {
		return err
	}
	return w.send(watch.Event{Type: t, Object: object})
}

// deletedAt is a copy of obj as it went at rev.
func deletedAt(obj runtime.Object, rev uint64) (runtime.Object, error) {
	obj = obj.DeepCopyObject()
	return obj, versioner.UpdateObject(obj, rev)
}

// side returns the object before or after an event, nil if there was none or it cannot be decoded.
func (w *watcher) side(e *entry) (runtime.Object, error) {
	if e == nil {
		return nil, nil
	}
	obj, err := w.view.object(e)
	if err != nil {
		return nil, err
	}
	return obj, nil
}

func (w *watcher) covers(key string) bool {
	if w.recursive {
		return len(key) >= len(w.key) && key[:len(w.key)] == w.key
	}
	return key == w.key
}

func (w *watcher) selects(obj runtime.Object) bool {
	matched, err := w.pred.Matches(obj)
	return err == nil && matched
}

// sendBookmark sends an object that is empty but for the revision up to which the client knows everything.
func (w *watcher) sendBookmark(rev uint64, endsInitial bool) error {
	obj := w.view.config.NewFunc()
	if err := versioner.UpdateObject(obj, rev); err != nil {
		return err
	}
	if endsInitial {
		if err := storage.AnnotateInitialEventsEndBookmark(obj); err != nil {
			return err
		}
	}
	return w.send(watch.Event{Type: watch.Bookmark, Object: obj})
}

func (w *watcher) send(e watch.Event) error {
	if w.ctx.Err() != nil {
		return errStopped
	}
	select { // mostly there is room, and fewer channels are faster
	case w.result <- e:
		return nil
	default:
	}
	select {
	case w.result <- e:
		return nil
	case <-w.ctx.Done():
		return errStopped
	case <-w.view.gone:
		return errStopped
	case <-w.view.store.closing:
		return errStopped
	}
}

// deletedUnread tells that an object is gone that could never be decoded.
func deletedUnread(err error) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusInternalServerError,
		Reason:  metav1.StatusReasonStoreReadError,
		Message: "saw a DELETED event, but object data is corrupt - " + err.Error(),
	}}
}

func statusOf(err error) metav1.Status {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	return status.Status()
}
