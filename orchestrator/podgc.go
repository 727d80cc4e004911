package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

const (
	// podCollection is how often Pods are looked through.
	podCollection = 20 * time.Second

	// nodeGrace is for how long a node must be missing before its Pods count as
	// lost: a node agent may be about to register it.
	nodeGrace = 40 * time.Second
)

// podCollector deletes Pods that nobody else will: those of nodes that are gone,
// those that are deleted but never had a node, and the oldest finished ones.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
type podCollector struct {
	client kubernetes.Interface
	pods   corelisters.PodLister
	nodes  corelisters.NodeLister
	keep   int
	loop   *loop[string]
	now    func() time.Time

	missing map[string]time.Time // since when each node is missing; only reconcile uses it
}

func newPodCollector(w *world) (controller, error) {
	core := w.informers.Core().V1()
	c := &podCollector{
		client: w.client, pods: core.Pods().Lister(), nodes: core.Nodes().Lister(),
		keep: w.opts.TerminatedPods, now: time.Now, missing: map[string]time.Time{},
	}
	c.loop = newLoop("pod collector", w.log, c.reconcile)
	return c, nil
}

func (c *podCollector) run(ctx context.Context) {
	c.loop.queue.Add("all pods")
	c.loop.work(ctx, 1)
}

func (c *podCollector) reconcile(ctx context.Context, _ string) (time.Duration, error) {
	pods, err := c.pods.List(labels.Everything())
	if err != nil {
		return 0, fmt.Errorf("list the pods: %w", err)
	}
	lost, err := c.lostNodes(ctx, pods)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, pod := range pods {
		switch {
		case lost[pod.Spec.NodeName]:
			errs = append(errs, c.fail(ctx, pod), c.delete(ctx, pod))
		case pod.Spec.NodeName == "" && pod.DeletionTimestamp != nil:
			errs = append(errs, c.delete(ctx, pod))
		}
	}
	for _, pod := range finishedBeyond(pods, c.keep) {
		errs = append(errs, c.delete(ctx, pod))
	}
	return podCollection, errors.Join(errs...)
}

// lostNodes are the nodes that Pods name and that have been missing, on the
// server too, for nodeGrace.
func (c *podCollector) lostNodes(ctx context.Context, pods []*corev1.Pod) (map[string]bool, error) {
	lost, named := map[string]bool{}, map[string]bool{"": true}
	for _, pod := range pods {
		node := pod.Spec.NodeName
		if named[node] {
			continue
		}
		named[node] = true
		if _, err := c.nodes.Get(node); err == nil {
			delete(c.missing, node)
			continue
		}
		since, known := c.missing[node]
		if !known {
			c.missing[node] = c.now()
			continue
		}
		if c.now().Sub(since) < nodeGrace {
			continue
		}
		_, err := c.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("look for node %s: %w", node, err)
		}
		lost[node] = err != nil
	}
	return lost, nil
}

// finishedBeyond returns the oldest finished Pods beyond the number to keep.
func finishedBeyond(pods []*corev1.Pod, keep int) []*corev1.Pod {
	if keep < 0 {
		return nil
	}
	var finished []*corev1.Pod
	for _, pod := range pods {
		if podutil.IsPodTerminal(pod) && pod.DeletionTimestamp == nil {
			finished = append(finished, pod)
		}
	}
	slices.SortFunc(finished, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return finished[:max(0, len(finished)-keep)]
}

// fail marks a Pod of a lost node, so that its owner learns that it ended badly.
func (c *podCollector) fail(ctx context.Context, pod *corev1.Pod) error {
	if podutil.IsPodTerminal(pod) {
		return nil
	}
	patch := mustJSON(map[string]any{"status": map[string]any{
		"phase": corev1.PodFailed,
		"conditions": []any{map[string]any{
			"type": corev1.DisruptionTarget, "status": corev1.ConditionTrue, "reason": "DeletionByPodGC",
			"message": "PodGC: node no longer exists", "lastTransitionTime": metav1.Now(),
		}},
	}})
	_, err := c.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("mark pod %s/%s as failed: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

func (c *podCollector) delete(ctx context.Context, pod *corev1.Pod) error {
	err := c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
