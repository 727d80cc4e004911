package orchestrator

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// retryFirst and retryMost bound the pause before a failed reconcile is repeated; it doubles in between.
const (
	retryFirst = 10 * time.Millisecond
	retryMost  = time.Minute
)

// keyed is a loop of ours: it reconciles objects of one kind by their names.
type keyed struct {
	queue     workqueue.TypedRateLimitingInterface[cache.ObjectName]
	synced    []cache.DoneChecker
	reconcile func(ctx context.Context, key cache.ObjectName) error
}

// newKeyed enqueues each object of informer that comes or changes. Nothing is reconciled before it and the others have
// seen all objects.
func newKeyed(reconcile func(context.Context, cache.ObjectName) error, informer cache.SharedIndexInformer, others ...cache.SharedIndexInformer) (*keyed, error) {
	k := &keyed{
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](retryFirst, retryMost)),
		synced:    []cache.DoneChecker{informer.HasSyncedChecker()},
		reconcile: reconcile,
	}
	for _, other := range others {
		k.synced = append(k.synced, other.HasSyncedChecker())
	}
	enqueue := func(obj any) { k.queue.Add(cache.MetaObjectToName(obj.(metav1.Object))) }
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, UpdateFunc: func(_, obj any) { enqueue(obj) },
	})
	return k, err
}

// Run is runner's.
func (k *keyed) Run(ctx context.Context, workers int) {
	var all sync.WaitGroup
	if cache.WaitFor(ctx, "", k.synced...) {
		for range workers {
			all.Go(func() {
				for k.next(ctx) {
				}
			})
		}
	}
	<-ctx.Done()
	k.queue.ShutDown()
	all.Wait()
}

func (k *keyed) next(ctx context.Context) bool {
	key, quit := k.queue.Get()
	if quit {
		return false
	}
	defer k.queue.Done(key)
	switch err := k.reconcile(ctx, key); {
	case err == nil:
		k.queue.Forget(key)
	case ctx.Err() == nil:
		if !apierrors.IsConflict(err) {
			klog.FromContext(ctx).Error(err, "reconcile failed, trying again", "key", key.String())
		}
		k.queue.AddRateLimited(key)
	}
	return true
}
