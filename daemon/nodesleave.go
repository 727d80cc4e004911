package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-lite/kube-lite/runtime/prune"
)

const (
	// evacuateLimit is how long the Pods of a node that is taken away may take to end; what is left is killed.
	evacuateLimit = stopLimit
	// evacuateInterval is how often it is looked whether they have.
	evacuateInterval = 100 * time.Millisecond
	// ReasonNoRange is the reason of a Node's condition Ready when there are no addresses for its Pods.
	ReasonNoRange = "NoPodRange"
)

// admit gives a new Node its range and the finalizer. Its agent is started when that is seen.
func (n *nodes) admit(ctx context.Context, node *corev1.Node) error {
	if _, done := n.given[string(node.UID)]; done { // and not seen yet
		return nil
	}
	number, err := n.freeRange()
	if err != nil {
		return n.refuse(ctx, node, err)
	}
	cidrs := n.ranges.cidrs(number)
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": node.UID, "finalizers": append(slices.Clone(node.Finalizers), agentFinalizer)},
		"spec":     map[string]any{"podCIDR": cidrs[0], "podCIDRs": cidrs},
	})
	if err != nil {
		return err
	}
	if _, err := n.client.CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("give node %s its range of addresses: %w", node.Name, err)
	}
	n.given[string(node.UID)] = number
	return nil
}

// taken are the numbers of the ranges that Nodes have.
func (n *nodes) taken() map[int]bool {
	taken := map[int]bool{}
	seen := map[string]bool{}
	for _, other := range n.all() {
		seen[string(other.UID)] = true
		if number, ok := n.ranges.find(other.Spec.PodCIDR); ok {
			taken[number] = true
		}
	}
	for uid, number := range n.given {
		if !seen[uid] {
			delete(n.given, uid)
			continue
		}
		taken[number] = true
	}
	return taken
}

// freeRange is the number of a range that no Node has and no Pod has an address of.
func (n *nodes) freeRange() (int, error) {
	var inUse []netip.Addr
	pods, _ := n.pods.List(labels.Everything()) // a lister cannot fail
	for _, pod := range pods {
		for _, ip := range pod.Status.PodIPs {
			if addr, err := netip.ParseAddr(ip.IP); err == nil {
				inUse = append(inUse, addr)
			}
		}
	}
	return n.ranges.free(n.taken(), inUse)
}

// refuse says in a Node's status why it has no agent.
func (n *nodes) refuse(ctx context.Context, node *corev1.Node, why error) error {
	if isRefused(node) {
		return nil
	}
	now := metav1.Now()
	node = node.DeepCopy()
	node.Status.Conditions = append(slices.DeleteFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady }),
		corev1.NodeCondition{
			Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: ReasonNoRange, Message: why.Error(),
			LastHeartbeatTime: now, LastTransitionTime: now,
		})
	_, err := n.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return errors.Join(fmt.Errorf("node %s: %w", node.Name, why), err)
}

// remove takes a node away whose Node is being deleted, beside what else is done.
func (n *nodes) remove(ctx context.Context, node *corev1.Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leaves[node.Name] || n.stopped || !slices.Contains(node.Finalizers, agentFinalizer) {
		return
	}
	n.leaves[node.Name] = true
	n.leaving.Go(func() {
		err := n.takeAway(ctx, node)
		if err != nil && ctx.Err() == nil {
			n.cfg.Log.Warn("a node cannot be taken away yet", "node", node.Name, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(nodesRetry):
			}
		}
		n.mu.Lock()
		delete(n.leaves, node.Name)
		n.mu.Unlock()
		n.look()
	})
}

// takeAway ends a node's Pods, first in peace, then without a question, and lets the Node go.
func (n *nodes) takeAway(ctx context.Context, node *corev1.Node) error {
	nodes := n.client.CoreV1().Nodes()
	cordon := []byte(`{"spec":{"unschedulable":true}}`)
	if _, err := nodes.Patch(ctx, node.Name, types.MergePatchType, cordon, metav1.PatchOptions{}); err != nil {
		return err
	}
	n.mu.Lock()
	m := n.running[node.Name]
	n.mu.Unlock()
	var errs []error
	if m != nil {
		if err := n.evacuate(ctx, node.Name); err != nil {
			return err
		}
		ending, cancel := context.WithTimeout(ctx, evacuateLimit)
		defer cancel()
		errs = append(errs, m.agent.StopPods(ending)) // those of DaemonSets, which come back as long as there is the Node
	}
	n.silence(node.Name)
	if err := n.clear(ctx, node.Name); err != nil {
		return errors.Join(append(errs, err)...)
	}
	if number, ok := n.ranges.find(node.Spec.PodCIDR); ok {
		if err := n.ranges.network.RemoveAddress(n.ranges.address(number)); err != nil {
			return err
		}
	}
	for _, pod := range n.podsOf(node.Name) {
		if err := n.deletePod(ctx, pod, new(int64)); err != nil {
			return err
		}
	}
	rest, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": node.UID, "finalizers": slices.DeleteFunc(slices.Clone(node.Finalizers), func(f string) bool { return f == agentFinalizer }),
	}})
	if err != nil {
		return err
	}
	_, err = nodes.Patch(ctx, node.Name, types.MergePatchType, rest, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// evacuate deletes a node's Pods, but for those that would come back here, and waits until they have ended or the time is over.
func (n *nodes) evacuate(ctx context.Context, node string) error {
	movable := func() []*corev1.Pod {
		return slices.DeleteFunc(n.podsOf(node), func(pod *corev1.Pod) bool {
			owner := metav1.GetControllerOf(pod)
			return owner != nil && owner.Kind == "DaemonSet"
		})
	}
	for _, pod := range movable() {
		if err := n.deletePod(ctx, pod, nil); err != nil {
			return err
		}
	}
	tick, limit := time.NewTicker(evacuateInterval), time.After(evacuateLimit)
	defer tick.Stop()
	for len(movable()) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// deletePod deletes a Pod with a grace period in seconds; nil: its own.
func (n *nodes) deletePod(ctx context.Context, pod *corev1.Pod, grace *int64) error {
	err := n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: grace, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // another Pod has the name by now
		return nil
	}
	return err
}

func (n *nodes) podsOf(node string) []*corev1.Pod {
	found, _ := n.pods.List(labels.Everything()) // a lister cannot fail
	return slices.DeleteFunc(found, func(pod *corev1.Pod) bool { return pod.Spec.NodeName != node })
}

// clear removes what is left of an added node whose agent does not run.
func (n *nodes) clear(ctx context.Context, name string) error {
	if err := prune.Node(ctx, n.engine, n.cfg.Name, name, n.cfg.DataDir); err != nil {
		return fmt.Errorf("remove what node %s has left: %w", name, err)
	}
	return nil
}

// stopPods stops the containers of all nodes: those of running agents with their Pods' grace periods, those of silent nodes as
// if their machine was switched off.
func (n *nodes) stopPods(ctx context.Context) error {
	n.mu.Lock()
	n.stopped = true
	running := make(map[string]*member, len(n.running))
	for name, m := range n.running {
		running[name] = m
	}
	n.mu.Unlock()
	var ending sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	try := func(stop func() error) {
		ending.Go(func() {
			err := stop()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	for _, m := range running {
		try(func() error { return m.agent.StopPods(ctx) })
	}
	for _, node := range n.all() {
		if running[node.Name] != nil {
			continue
		}
		added := node.Name
		if added == n.first {
			added = ""
		}
		try(func() error { return prune.Containers(ctx, n.engine, n.cfg.Name, added) })
	}
	ending.Wait()
	return errors.Join(errs...)
}
