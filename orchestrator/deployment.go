package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

const deploymentWorkers = 5

var deploymentKind = appsv1.SchemeGroupVersion.WithKind("Deployment")

// deployments moves each Deployment's pods to its current template, one
// ReplicaSet per template.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
type deployments struct {
	client   kubernetes.Interface
	pods     cache.SharedIndexInformer
	sets     cache.SharedIndexInformer
	setsOf   appslisters.ReplicaSetLister
	informer cache.SharedIndexInformer
	lister   appslisters.DeploymentLister
	recorder record.EventRecorder
	writes   *lastWrites[cache.ObjectName]
	loop     *loop[cache.ObjectName]
	now      func() time.Time
}

// rollout is one reconcile of one Deployment: a copy of it that collects what
// its status should become, and its ReplicaSets.
type rollout struct {
	key    cache.ObjectName
	d      *appsv1.Deployment   // ours to change; only its status and annotations are written
	latest *appsv1.ReplicaSet   // has d's template; nil if there is none yet
	old    []*appsv1.ReplicaSet // all others, oldest first

	// progress tells that pods move between templates, so that the progress
	// deadline counts. It does not while scaling, pausing or deleting.
	progress bool
}

// all are the ReplicaSets of the rollout, the latest last.
func (r *rollout) all() []*appsv1.ReplicaSet {
	sets := append([]*appsv1.ReplicaSet(nil), r.old...)
	if r.latest != nil {
		sets = append(sets, r.latest)
	}
	return sets
}

func newDeployments(w *world) (controller, error) {
	apps := w.informers.Apps().V1()
	c := &deployments{
		client: w.client, pods: w.informers.Core().V1().Pods().Informer(),
		sets: apps.ReplicaSets().Informer(), setsOf: apps.ReplicaSets().Lister(),
		informer: apps.Deployments().Informer(), lister: apps.Deployments().Lister(),
		recorder: w.recorder("deployment-controller"),
		writes:   newLastWrites[cache.ObjectName](),
		now:      time.Now,
	}
	c.loop = newLoop("deployments", w.log, c.reconcile)
	return c, errors.Join(watch(c.informer, c.changed), watch(c.sets, c.setChanged), watch(c.pods, c.podChanged))
}

func (c *deployments) run(ctx context.Context) { c.loop.work(ctx, deploymentWorkers) }

func (c *deployments) changed(old, cur *appsv1.Deployment) {
	c.loop.queue.Add(cache.MetaObjectToName(either(old, cur)))
}

func (c *deployments) setChanged(old, cur *appsv1.ReplicaSet) {
	for _, rs := range []*appsv1.ReplicaSet{old, cur} {
		if rs == nil {
			continue
		}
		if name, _, ok := controlledBy(rs, deploymentKind); ok {
			c.loop.queue.Add(cache.NewObjectName(rs.Namespace, name))
		}
	}
	if cur == nil || metav1.GetControllerOfNoCopy(cur) != nil {
		return
	}
	all, _ := c.lister.Deployments(cur.Namespace).List(labels.Everything())
	for _, d := range all {
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(cur.Labels)) {
			c.loop.queue.Add(cache.MetaObjectToName(d))
		}
	}
}

// podChanged wakes a Deployment that recreates when one of its pods has ended:
// it waits for the last one before it starts the new.
func (c *deployments) podChanged(old, cur *corev1.Pod) {
	if old == nil || cur != nil && !podutil.IsPodTerminal(cur) {
		return
	}
	name, _, ok := controlledBy(old, replicaSetKind)
	if !ok {
		return
	}
	rs, err := c.setsOf.ReplicaSets(old.Namespace).Get(name)
	if err != nil {
		return
	}
	if name, _, ok = controlledBy(rs, deploymentKind); !ok {
		return
	}
	if d, err := c.lister.Deployments(old.Namespace).Get(name); err == nil && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		c.loop.queue.Add(cache.MetaObjectToName(d))
	}
}

func (c *deployments) reconcile(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	cached, err := c.lister.Deployments(key.Namespace).Get(key.Name)
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
	if apiequality.Semantic.DeepEqual(cached.Spec.Selector, &metav1.LabelSelector{}) {
		c.recorder.Event(cached, corev1.EventTypeWarning, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.")
		return 0, nil
	}
	r := &rollout{key: key, d: cached.DeepCopy()}
	sets, err := c.claimSets(ctx, r)
	if err != nil {
		return 0, err
	}
	r.latest, r.old = splitByTemplate(r.d, sets)
	err = c.act(ctx, r)
	again, statusErr := c.writeStatus(ctx, r, cached)
	return again, errors.Join(err, statusErr)
}

func (c *deployments) claimSets(ctx context.Context, r *rollout) ([]*appsv1.ReplicaSet, error) {
	selector, err := metav1.LabelSelectorAsSelector(r.d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("read the selector: %w", err)
	}
	all, err := c.setsOf.ReplicaSets(r.key.Namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list the replica sets: %w", err)
	}
	return claim[*appsv1.ReplicaSet]{
		owner: r.d, kind: deploymentKind, selector: selector,
		fresh: func(ctx context.Context) (metav1.Object, error) {
			return c.client.AppsV1().Deployments(r.d.Namespace).Get(ctx, r.d.Name, metav1.GetOptions{})
		},
		patch: func(ctx context.Context, rs *appsv1.ReplicaSet, data []byte) error {
			_, err := c.patchSet(ctx, r, rs, types.StrategicMergePatchType, data)
			return err
		},
	}.of(ctx, all)
}

// act does the one thing that the Deployment needs now. What it writes wakes it
// again for the next.
func (c *deployments) act(ctx context.Context, r *rollout) error {
	if err := c.syncRevision(ctx, r); err != nil {
		return err
	}
	if r.d.DeletionTimestamp != nil {
		return nil
	}
	c.notePause(r)
	switch {
	case r.d.Spec.Paused:
		return errors.Join(c.rescale(ctx, r), c.dropOldSets(ctx, r))
	case wantsRescale(r):
		return c.rescale(ctx, r)
	}
	r.progress = true
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return c.recreate(ctx, r)
	}
	return c.roll(ctx, r)
}

// roll takes one step of a rolling update: up with the new as far as the surge
// allows, else down with the old as far as availability allows.
func (c *deployments) roll(ctx context.Context, r *rollout) error {
	if r.latest == nil {
		if err := c.createSet(ctx, r); err != nil || r.latest == nil {
			return err
		}
	}
	if scaled, err := c.resize(ctx, r, map[string]int32{r.latest.Name: latestSize(r)}); scaled || err != nil {
		return err
	}
	if scaled, err := c.resize(ctx, r, oldSizes(r)); scaled || err != nil {
		return err
	}
	return c.finish(ctx, r)
}

// recreate ends all old pods before it starts new ones.
func (c *deployments) recreate(ctx context.Context, r *rollout) error {
	zero := map[string]int32{}
	for _, rs := range active(r.old) {
		zero[rs.Name] = 0
	}
	if scaled, err := c.resize(ctx, r, zero); scaled || err != nil {
		return err
	}
	if c.oldPodsRun(r) {
		return nil
	}
	if r.latest == nil {
		if err := c.createSet(ctx, r); err != nil || r.latest == nil {
			return err
		}
	}
	if scaled, err := c.resize(ctx, r, map[string]int32{r.latest.Name: *r.d.Spec.Replicas}); scaled || err != nil {
		return err
	}
	return c.finish(ctx, r)
}

// oldPodsRun tells whether pods of old ReplicaSets may still run, terminating
// ones included.
func (c *deployments) oldPodsRun(r *rollout) bool {
	for _, rs := range r.old {
		if rs.Status.Replicas > 0 {
			return true
		}
		objs, _ := c.pods.GetIndexer().ByIndex(podsByController, string(rs.UID))
		for _, obj := range objs {
			if !podutil.IsPodTerminal(obj.(*corev1.Pod)) {
				return true
			}
		}
	}
	return false
}

// finish cleans up after a complete rollout.
func (c *deployments) finish(ctx context.Context, r *rollout) error {
	if !complete(r.d, &r.d.Status) {
		return nil
	}
	return c.dropOldSets(ctx, r)
}

// rescale brings the ReplicaSets to a new total without moving the rollout: in
// proportion when several have pods.
func (c *deployments) rescale(ctx context.Context, r *rollout) error {
	_, err := c.resize(ctx, r, rescaledSizes(r))
	return err
}
