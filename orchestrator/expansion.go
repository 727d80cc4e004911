package orchestrator

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// provisionedBy is the annotation that says who made a volume.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#pv-kubernetes-io-provisioned-by
const provisionedBy = "pv.kubernetes.io/provisioned-by"

// expandFirst and expandMost bound the pause before a failed expansion is tried again.
const (
	expandFirst = 10 * time.Millisecond
	expandMost  = 30 * time.Second
)

// expansion gives claims of our directories the size that they ask for, which costs nothing.
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
type expansion struct {
	client  kubernetes.Interface
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	synced  []cache.DoneChecker
	queue   workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

func newExpansion(_ context.Context, w *world) (runner, error) {
	core := w.informers.Core().V1()
	e := &expansion{
		client: w.client, claims: core.PersistentVolumeClaims().Lister(), volumes: core.PersistentVolumes().Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](expandFirst, expandMost)),
	}
	_, err := core.PersistentVolumeClaims().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    e.enqueue,
		UpdateFunc: func(_, claim any) { e.enqueue(claim) },
	})
	if err != nil {
		return nil, err
	}
	e.synced = []cache.DoneChecker{core.PersistentVolumeClaims().Informer().HasSyncedChecker(), core.PersistentVolumes().Informer().HasSyncedChecker()}
	return e, nil
}

func (e *expansion) enqueue(obj any) {
	if claim := obj.(*corev1.PersistentVolumeClaim); wantsMore(claim) {
		e.queue.Add(cache.MetaObjectToName(claim))
	}
}

// wantsMore tells whether a bound claim asks for more than it has.
func wantsMore(claim *corev1.PersistentVolumeClaim) bool {
	wanted, has := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	return claim.Status.Phase == corev1.ClaimBound && wanted.Cmp(has) > 0
}

// Run is runner's.
func (e *expansion) Run(ctx context.Context, workers int) {
	var all sync.WaitGroup
	if cache.WaitFor(ctx, "", e.synced...) {
		for range workers {
			all.Go(func() {
				for e.next(ctx) {
				}
			})
		}
	}
	<-ctx.Done()
	e.queue.ShutDown()
	all.Wait()
}

func (e *expansion) next(ctx context.Context) bool {
	key, quit := e.queue.Get()
	if quit {
		return false
	}
	defer e.queue.Done(key)
	switch err := e.expand(ctx, key); {
	case err == nil:
		e.queue.Forget(key)
	case ctx.Err() == nil:
		if !apierrors.IsConflict(err) {
			klog.FromContext(ctx).Error(err, "a claim cannot be expanded, trying again", "claim", key.String())
		}
		e.queue.AddRateLimited(key)
	}
	return true
}

// expand writes the size into the volume first: a claim must not have more than its volume.
func (e *expansion) expand(ctx context.Context, key cache.ObjectName) error {
	claim, err := e.claims.PersistentVolumeClaims(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) || err == nil && !wantsMore(claim) {
		return nil
	}
	if err != nil {
		return err
	}
	volume, err := e.volumes.Get(claim.Spec.VolumeName)
	if err != nil {
		return fmt.Errorf("read PersistentVolume %s: %w", claim.Spec.VolumeName, err)
	}
	if volume.Annotations[provisionedBy] != Provisioner {
		return nil
	}
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if has := volume.Spec.Capacity[corev1.ResourceStorage]; has.Cmp(wanted) < 0 {
		volume = volume.DeepCopy()
		volume.Spec.Capacity[corev1.ResourceStorage] = wanted
		if _, err := e.client.CoreV1().PersistentVolumes().Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("write the capacity of PersistentVolume %s: %w", volume.Name, err)
		}
	}
	claim = claim.DeepCopy()
	claim.Status.Capacity[corev1.ResourceStorage] = wanted
	if _, err := e.client.CoreV1().PersistentVolumeClaims(key.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("write the capacity of the claim %s: %w", key, err)
	}
	return nil
}
