package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

const (
	// schedulerWorkers is how many bindings are under way at once.
	schedulerWorkers = 16

	// unschedulableRetry is when a Pod that fits nowhere is tried again although
	// nothing was seen to change.
	unschedulableRetry = 30 * time.Second
)

// scheduler binds pending Pods to nodes, or says on the Pod why it can't. Choosing
// a node is serial and takes microseconds; the bindings go out concurrently.
// https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
type scheduler struct {
	name     string
	client   kubernetes.Interface
	nodes    corelisters.NodeLister
	pods     corelisters.PodLister
	recorder record.EventRecorder
	loop     *loop[cache.ObjectName]

	// mu makes one choice at a time: each must see the one before.
	mu sync.Mutex
	// assumed are Pods that have a node by our choice, until the cache shows it.
	assumed map[types.UID]*corev1.Pod // guarded by mu
}

func newScheduler(w *world) (controller, error) {
	core := w.informers.Core().V1()
	s := &scheduler{
		name: w.opts.SchedulerName, client: w.client,
		nodes: core.Nodes().Lister(), pods: core.Pods().Lister(),
		recorder: w.recorder(w.opts.SchedulerName),
		assumed:  map[types.UID]*corev1.Pod{},
	}
	s.loop = newLoop("scheduler", w.log, s.reconcile)
	return s, errors.Join(watch(core.Pods().Informer(), s.podChanged), watch(core.Nodes().Informer(), s.nodeChanged))
}

func (s *scheduler) run(ctx context.Context) { s.loop.work(ctx, schedulerWorkers) }

// podChanged wakes a Pod that waits for a node, and all such Pods when one that
// has a node gives up what it holds.
func (s *scheduler) podChanged(old, cur *corev1.Pod) {
	switch {
	case cur != nil && s.waits(cur):
		s.loop.queue.Add(cache.MetaObjectToName(cur))
	case cur == nil || podutil.IsPodTerminal(cur) && old != nil && !podutil.IsPodTerminal(old):
		s.wakeAll()
	}
}

func (s *scheduler) nodeChanged(old, cur *corev1.Node) {
	if old == nil || cur == nil || offers(old) != offers(cur) {
		s.wakeAll()
	}
}

func (s *scheduler) wakeAll() {
	pods, _ := s.pods.List(labels.Everything())
	for _, pod := range pods {
		if s.waits(pod) {
			s.loop.queue.Add(cache.MetaObjectToName(pod))
		}
	}
}

// waits tells whether a Pod is ours to schedule now.
func (s *scheduler) waits(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" && pod.Spec.SchedulerName == s.name && pod.DeletionTimestamp == nil &&
		len(pod.Spec.SchedulingGates) == 0 && !podutil.IsPodTerminal(pod)
}

func (s *scheduler) reconcile(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	pod, err := s.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil || !s.waits(pod) {
		return 0, err
	}
	node, reason, err := s.choose(pod)
	if err != nil {
		return 0, err
	}
	switch {
	case node != "":
		return 0, s.bind(ctx, pod, node)
	case reason != "":
		return unschedulableRetry, s.explain(ctx, pod, reason)
	}
	return 0, nil // assumed already: its binding is on the way to the cache
}

// choose picks a node for pod and reserves its place there. With no node it says
// why, unless the Pod has its place already.
func (s *scheduler) choose(pod *corev1.Pod) (node, reason string, err error) {
	nodes, err := s.nodes.List(labels.Everything())
	if err != nil {
		return "", "", fmt.Errorf("list the nodes: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pods, err := s.placed()
	if err != nil {
		return "", "", err
	}
	if s.assumed[pod.UID] != nil {
		return "", "", nil
	}
	node, reason = place(pod, nodes, pods)
	if node != "" {
		assumed := pod.DeepCopy()
		assumed.Spec.NodeName = node
		s.assumed[pod.UID] = assumed
	}
	return node, reason, nil
}

// placed returns all Pods that hold a place on a node, and forgets assumptions
// that the cache shows to be true or void. Callers hold mu.
func (s *scheduler) placed() ([]*corev1.Pod, error) {
	all, err := s.pods.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list the pods: %w", err)
	}
	var placed []*corev1.Pod
	cached := map[types.UID]bool{}
	for _, pod := range all {
		if pod.Spec.NodeName != "" {
			delete(s.assumed, pod.UID)
			if !podutil.IsPodTerminal(pod) {
				placed = append(placed, pod)
			}
			continue
		}
		cached[pod.UID] = true
	}
	for uid, pod := range s.assumed {
		if !cached[uid] {
			delete(s.assumed, uid)
			continue
		}
		placed = append(placed, pod)
	}
	return placed, nil
}

func (s *scheduler) bind(ctx context.Context, pod *corev1.Pod, node string) error {
	err := s.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
	if err == nil {
		s.recorder.Eventf(pod, corev1.EventTypeNormal, "Scheduled", "Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node)
		return nil
	}
	s.mu.Lock()
	delete(s.assumed, pod.UID)
	s.mu.Unlock()
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("bind to node %s: %w", node, err)
}

// explain writes on the Pod why it has no node, once for each reason.
func (s *scheduler) explain(ctx context.Context, pod *corev1.Pod, reason string) error {
	_, condition := podutil.GetPodCondition(&pod.Status, corev1.PodScheduled)
	if condition != nil && condition.Status == corev1.ConditionFalse && condition.Message == reason {
		return nil
	}
	s.recorder.Event(pod, corev1.EventTypeWarning, "FailedScheduling", reason)
	since := metav1.Now()
	if condition != nil && condition.Status == corev1.ConditionFalse {
		since = condition.LastTransitionTime
	}
	patch := mustJSON(map[string]any{"status": map[string]any{"conditions": []any{map[string]any{
		"type": corev1.PodScheduled, "status": corev1.ConditionFalse, "reason": corev1.PodReasonUnschedulable,
		"message": reason, "lastTransitionTime": since, "observedGeneration": pod.Generation,
	}}}})
	_, err := s.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write why it is not scheduled: %w", err)
	}
	return nil
}
