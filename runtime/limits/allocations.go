package limits

import (
	"log/slog"
	"maps"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Node is what Allocations and Evictions have to know of the node, and whom they tell.
type Node struct {
	// Dirs has each Pod's directory, where what it was granted is kept.
	Dirs pods.Dirs
	// Pods are those of this node that are not over.
	Pods func() []*v1.Pod
	// Allocatable is what Pods may use of the node, without what others declare of it.
	Allocatable func() v1.ResourceList
	// Enforceable says why this node cannot keep a Pod safe; nil: it can.
	Enforceable func(*v1.Pod) *pods.Reason
	// Enqueue has a Pod looked at soon.
	Enqueue func(pods.Ref)
	Log     *slog.Logger
}

// Allocations are the grants of this node's Pods: what they may use of it. A Pod that has one was admitted, and is
// never rejected again. Each lies in a file beside the Pod's volumes too. Make them with NewAllocations; they may be
// used by many goroutines at once.
// https://kubernetes.io/docs/concepts/scheduling-eviction/
type Allocations struct {
	node Node

	mu       sync.Mutex // guards what follows
	grants   map[types.UID]*holding
	deferred map[types.UID]pods.Ref // Pods whose resize waits for others to make room
}

// NewAllocations makes them without any grant; see Recall.
func NewAllocations(n Node) *Allocations {
	return &Allocations{node: n, grants: map[types.UID]*holding{}, deferred: map[types.UID]pods.Ref{}}
}

// Recall fills in the grants of an earlier life of the agent. A Pod that ran without a
// file is of a version that wrote none.
func (a *Allocations) Recall() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, pod := range a.node.Pods() {
		g, err := readGrant(a.node.Dirs.Pod(pod.UID))
		if err != nil {
			a.node.Log.Warn("what a pod was granted cannot be read; it gets what it declares", "pod", pods.RefOf(pod), "error", err)
		}
		if g == nil && (err != nil || hasRun(pod)) {
			declared := grantOf(pod)
			g = &declared
		}
		if g != nil {
			a.grants[pod.UID] = &holding{grant: *g}
		}
	}
}

// hasRun tells that the Pod was admitted once, by its status.
func hasRun(pod *v1.Pod) bool {
	for _, list := range [][]v1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if c.ContainerID != "" {
				return true
			}
		}
	}
	return pod.Status.Phase == v1.PodRunning
}

// Admit grants a Pod that is new here what it declares, or says why this node cannot take it. Own is the node's object,
// with its labels and with what others than the agent declare of the node in allocatable; nil: the Pod cares for neither.
func (a *Allocations) Admit(pod *v1.Pod, own *v1.Node, allocatable v1.ResourceList) *pods.Reason {
	return a.grantIf(pod, func() *pods.Reason { return a.check(pod, own, allocatable) })
}

// Adopt grants a Pod what it declares, since its containers are here already.
func (a *Allocations) Adopt(pod *v1.Pod) {
	a.grantIf(pod, func() *pods.Reason { return nil })
}

func (a *Allocations) grantIf(pod *v1.Pod, check func() *pods.Reason) *pods.Reason {
	a.mu.Lock()
	r := check()
	if r == nil {
		a.grants[pod.UID] = &holding{grant: grantOf(pod)}
	}
	a.mu.Unlock()
	if r != nil {
		return r
	}
	if err := grantOf(pod).keep(a.node.Dirs.Pod(pod.UID)); err != nil {
		a.node.Log.Warn("what a pod was granted cannot be kept", "pod", pods.RefOf(pod), "error", err)
	}
	return nil
}

// check tells why the node cannot take a Pod, in a kubelet's words and order. The caller holds the lock.
func (a *Allocations) check(pod *v1.Pod, own *v1.Node, allocatable v1.ResourceList) *pods.Reason {
	if pod.Spec.OS != nil && pod.Spec.OS.Name != v1.Linux {
		return &pods.Reason{Reason: "PodOSNotSupported", Message: "Failed to admit pod as the OS field doesn't match node OS"}
	}
	others := a.admittedPods(pod.UID)
	if r := shortage(pod, others, allocatable); r != nil {
		return r
	}
	if own != nil {
		if fits, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(own); err != nil || !fits {
			return &pods.Reason{Reason: "NodeAffinity", Message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"}
		}
	}
	if r := a.node.Enforceable(pod); r != nil {
		return r
	}
	if portTaken(pod, others) {
		return &pods.Reason{Reason: "NodePorts", Message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"}
	}
	return nil
}

// admittedPods are the Pods beside this one that hold a part of the node. The caller holds the lock.
func (a *Allocations) admittedPods(uid types.UID) (out []admittedPod) {
	for _, pod := range a.node.Pods() {
		if h, ok := a.grants[pod.UID]; ok && pod.UID != uid {
			out = append(out, admittedPod{pod, h.requestsOf(pod)})
		}
	}
	return out
}

// Release forgets a Pod that is gone, and lets those who wait for room try again.
func (a *Allocations) Release(uid types.UID) {
	a.mu.Lock()
	delete(a.grants, uid)
	delete(a.deferred, uid)
	a.mu.Unlock()
	a.EnqueueDeferred()
}

// EnqueueDeferred has the resizes looked at that wait for room.
func (a *Allocations) EnqueueDeferred() {
	a.mu.Lock()
	waiting := maps.Clone(a.deferred)
	a.mu.Unlock()
	for _, ref := range waiting {
		a.node.Enqueue(ref)
	}
}
