package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	// retryFirst and retryMost bound the delay before a failed key is tried
	// again; it doubles in between. The API server is a function call away, so
	// the first retry is soon, and a human is watching, so the last is not far.
	retryFirst = 5 * time.Millisecond
	retryMost  = 30 * time.Second

	// staleRetry is when a key whose own write is not in the cache yet is looked
	// at again. It is only a net below the event of that write, which wakes the
	// key as it arrives.
	staleRetry = time.Second
)

// loop feeds keys to a reconcile function; one key is never reconciled by two
// workers at once.
type loop[K comparable] struct {
	name  string // for the log, plural: "replicasets"
	log   *slog.Logger
	queue workqueue.TypedRateLimitingInterface[K]

	// reconcile makes the world of key right. It returns after which time the
	// key wants to be looked at again though nothing happens, 0 for never.
	reconcile func(ctx context.Context, key K) (again time.Duration, err error)
}

func newLoop[K comparable](name string, log *slog.Logger, reconcile func(context.Context, K) (time.Duration, error)) *loop[K] {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[K](retryFirst, retryMost)
	return &loop[K]{
		name: name, log: log.With("controller", name), reconcile: reconcile,
		queue: workqueue.NewTypedRateLimitingQueue(limiter),
	}
}

// work runs so many workers until ctx ends and returns when they have ended.
func (l *loop[K]) work(ctx context.Context, workers int) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	l.queue.ShutDown()
	all.Wait()
}

func (l *loop[K]) next(ctx context.Context) bool {
	key, quit := l.queue.Get()
	if quit {
		return false
	}
	defer l.queue.Done(key)
	if ctx.Err() != nil {
		return true // drain the queue
	}
	again, err := l.reconcile(ctx, key)
	switch {
	case err != nil && ctx.Err() == nil:
		l.report(key, err)
		l.queue.AddRateLimited(key)
	case again > 0:
		l.queue.Forget(key)
		l.queue.AddAfter(key, again)
	default:
		l.queue.Forget(key)
	}
	return true
}

// report logs why a key is tried again. A conflict is no failure: someone wrote
// the object between our read and our write.
func (l *loop[K]) report(key K, err error) {
	level := slog.LevelWarn
	if apierrors.IsConflict(err) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, "reconcile failed, trying again",
		"key", fmt.Sprint(key), "tries", l.queue.NumRequeues(key)+1, "err", err)
}

// watch calls changed for each event of informer's objects, which are T: with
// old zero for a new object, with cur zero for a deleted one.
func watch[T metav1.Object](informer cache.SharedIndexInformer, changed func(old, cur T)) error {
	_, err := observe(informer, changed)
	return err
}

// observe is watch, and tells when changed has been called for all objects that
// were there at the start.
func observe[T metav1.Object](informer cache.SharedIndexInformer, changed func(old, cur T)) (cache.DoneChecker, error) {
	var none T
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { changed(none, obj.(T)) },
		UpdateFunc: func(old, cur any) { changed(old.(T), cur.(T)) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if old, ok := obj.(T); ok {
				changed(old, none)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", none, err)
	}
	return handler.HasSyncedChecker(), nil
}

// either returns the newer of an event's two objects that there is.
func either[T interface {
	comparable
	metav1.Object
}](old, cur T) T {
	var none T
	if cur != none {
		return cur
	}
	return old
}
