package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

const (
	replicaSetWorkers = 5

	// podsAtOnce is the size of the first batch of pods to create; each batch that
	// succeeds doubles it. It is large enough that a usual ReplicaSet is one
	// batch, and small enough that what always fails does not fail 500 times.
	podsAtOnce = 16

	// podsPerSync bounds what one reconcile creates or deletes, as upstream's
	// burst of replicas does; the next one goes on.
	podsPerSync = 500
)

var replicaSetKind = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")

// replicaSets keeps as many pods of each ReplicaSet as it asks for.
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/
type replicaSets struct {
	client   kubernetes.Interface
	pods     cache.SharedIndexInformer
	informer cache.SharedIndexInformer
	lister   appslisters.ReplicaSetLister
	recorder record.EventRecorder
	writes   *lastWrites[cache.ObjectName]
	loop     *loop[cache.ObjectName]
	now      func() time.Time
}

func newReplicaSets(w *world) (controller, error) {
	rs := w.informers.Apps().V1().ReplicaSets()
	c := &replicaSets{
		client: w.client, pods: w.informers.Core().V1().Pods().Informer(),
		informer: rs.Informer(), lister: rs.Lister(),
		recorder: w.recorder("replicaset-controller"),
		writes:   newLastWrites[cache.ObjectName](),
		now:      time.Now,
	}
	c.loop = newLoop("replicasets", w.log, c.reconcile)
	return c, errors.Join(watch(c.informer, c.changed), watch(c.pods, c.podChanged))
}

func (c *replicaSets) run(ctx context.Context) { c.loop.work(ctx, replicaSetWorkers) }

func (c *replicaSets) changed(old, cur *appsv1.ReplicaSet) {
	c.loop.queue.Add(cache.MetaObjectToName(either(old, cur)))
}

// podChanged wakes the ReplicaSets that a pod belongs or belonged to, or that
// may adopt it.
func (c *replicaSets) podChanged(old, cur *corev1.Pod) {
	for _, pod := range []*corev1.Pod{old, cur} {
		if pod == nil {
			continue
		}
		if name, _, ok := controlledBy(pod, replicaSetKind); ok {
			c.loop.queue.Add(cache.NewObjectName(pod.Namespace, name))
		}
	}
	if cur == nil || metav1.GetControllerOfNoCopy(cur) != nil {
		return
	}
	if old != nil && metav1.GetControllerOfNoCopy(old) == nil && maps.Equal(old.Labels, cur.Labels) {
		return
	}
	sets, _ := c.lister.ReplicaSets(cur.Namespace).List(labels.Everything())
	for _, rs := range sets {
		if selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector); err == nil && selector.Matches(labels.Set(cur.Labels)) {
			c.loop.queue.Add(cache.MetaObjectToName(rs))
		}
	}
}

func (c *replicaSets) reconcile(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	rs, err := c.lister.ReplicaSets(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		c.writes.forget(key)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !c.writes.visible(key) {
		return staleRetry, nil
	}
	active, terminating, err := c.podsOf(ctx, key, rs)
	if err != nil {
		return 0, err
	}
	var scaleErr error
	if rs.DeletionTimestamp == nil {
		scaleErr = c.scale(ctx, key, rs, active)
	}
	now := c.now()
	status := replicaSetStatus(rs, active, terminating, scaleErr, now)
	if err := c.writeStatus(ctx, key, rs, status); err != nil {
		return 0, errors.Join(scaleErr, err)
	}
	return nextAvailable(active, rs.Spec.MinReadySeconds, now), scaleErr
}

// podsOf returns the pods that count, after adoption and release, and those that
// are on their way out.
func (c *replicaSets) podsOf(ctx context.Context, key cache.ObjectName, rs *appsv1.ReplicaSet) (active, terminating []*corev1.Pod, err error) {
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return nil, nil, fmt.Errorf("read the selector: %w", err)
	}
	for _, value := range []string{string(rs.UID), orphansOf(rs.Namespace)} {
		objs, err := c.pods.GetIndexer().ByIndex(podsByController, value)
		if err != nil {
			return nil, nil, fmt.Errorf("list the pods of %s: %w", value, err)
		}
		for _, obj := range objs {
			switch pod := obj.(*corev1.Pod); {
			case podActive(pod):
				active = append(active, pod)
			case podTerminating(pod) && metav1.IsControlledBy(pod, rs) && selector.Matches(labels.Set(pod.Labels)):
				terminating = append(terminating, pod)
			}
		}
	}
	claimed, err := claim[*corev1.Pod]{
		owner: rs, kind: replicaSetKind, selector: selector,
		fresh: func(ctx context.Context) (metav1.Object, error) {
			return c.client.AppsV1().ReplicaSets(rs.Namespace).Get(ctx, rs.Name, metav1.GetOptions{})
		},
		patch: func(ctx context.Context, pod *corev1.Pod, data []byte) error {
			got, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, data, metav1.PatchOptions{})
			if err == nil {
				c.writes.wrote(key, c.pods, got)
			}
			return err
		},
	}.of(ctx, active)
	return claimed, terminating, err
}

// scale creates or deletes pods until there are as many as asked for.
func (c *replicaSets) scale(ctx context.Context, key cache.ObjectName, rs *appsv1.ReplicaSet, active []*corev1.Pod) error {
	surplus := len(active) - int(*rs.Spec.Replicas)
	switch {
	case surplus < 0:
		return inBatches(min(-surplus, podsPerSync), func() error { return c.createPod(ctx, key, rs) })
	case surplus > 0:
		doomed := podsToDelete(active, c.siblings(rs), min(surplus, podsPerSync), c.now())
		return concurrently(len(doomed), func(i int) error { return c.deletePod(ctx, key, rs, doomed[i]) })
	}
	return nil
}

func (c *replicaSets) createPod(ctx context.Context, key cache.ObjectName, rs *appsv1.ReplicaSet) error {
	pod, err := c.client.CoreV1().Pods(rs.Namespace).Create(ctx, podFor(rs), metav1.CreateOptions{})
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // it would fail for ever, and the namespace controller takes all
	}
	if err != nil {
		c.recorder.Eventf(rs, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		return err
	}
	c.writes.wrote(key, c.pods, pod)
	c.recorder.Eventf(rs, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", pod.Name)
	return nil
}

func (c *replicaSets) deletePod(ctx context.Context, key cache.ObjectName, rs *appsv1.ReplicaSet, pod *corev1.Pod) error {
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		c.recorder.Eventf(rs, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		return fmt.Errorf("delete pod %s: %w", pod.Name, err)
	}
	c.writes.deleted(key, c.pods, pod)
	if err == nil {
		c.recorder.Eventf(rs, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", pod.Name)
	}
	return nil
}

func (c *replicaSets) writeStatus(ctx context.Context, key cache.ObjectName, rs *appsv1.ReplicaSet, status appsv1.ReplicaSetStatus) error {
	if apiequality.Semantic.DeepEqual(rs.Status, status) {
		return nil
	}
	rs = rs.DeepCopy()
	rs.Status = status
	got, err := c.client.AppsV1().ReplicaSets(rs.Namespace).UpdateStatus(ctx, rs, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	c.writes.wrote(key, c.informer, got)
	return nil
}

// siblings are the active pods of all ReplicaSets that have rs's controller: a
// node that runs many of them is the first to give one up.
func (c *replicaSets) siblings(rs *appsv1.ReplicaSet) []*corev1.Pod {
	sets := []*appsv1.ReplicaSet{rs}
	if ref := metav1.GetControllerOfNoCopy(rs); ref != nil {
		all, _ := c.lister.ReplicaSets(rs.Namespace).List(labels.Everything())
		for _, other := range all {
			if theirs := metav1.GetControllerOfNoCopy(other); other.UID != rs.UID && theirs != nil && theirs.UID == ref.UID {
				sets = append(sets, other)
			}
		}
	}
	var pods []*corev1.Pod
	for _, set := range sets {
		objs, _ := c.pods.GetIndexer().ByIndex(podsByController, string(set.UID))
		for _, obj := range objs {
			if pod := obj.(*corev1.Pod); podActive(pod) {
				pods = append(pods, pod)
			}
		}
	}
	return pods
}

// podFor is the pod that rs's template describes; the server names it.
func podFor(rs *appsv1.ReplicaSet) *corev1.Pod {
	template := rs.Spec.Template.DeepCopy()
	prefix := rs.Name + "-"
	if len(validation.NameIsDNSSubdomain(prefix, true)) != 0 {
		prefix = rs.Name // a dash more would be too long
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: prefix,
			Labels:       template.Labels, Annotations: template.Annotations, Finalizers: template.Finalizers,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rs, replicaSetKind)},
		},
		Spec: template.Spec,
	}
}

// inBatches calls do count times, concurrently in batches of podsAtOnce, twice
// that, and so on, and stops after a batch with an error, which it returns.
func inBatches(count int, do func() error) error {
	for batch := podsAtOnce; count > 0; batch *= 2 {
		n := min(batch, count)
		if err := concurrently(n, func(int) error { return do() }); err != nil {
			return err
		}
		count -= n
	}
	return nil
}

// concurrently calls do for 0 to count-1 at once, waits, and returns one of the
// errors: they tend to be the same.
func concurrently(count int, do func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, count)
	for i := range count {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
