package runtime

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/runtime/node"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// allocate admits a new Pod or rejects it, and decides about the resize of one that
// was admitted. It returns the Pod with what it was granted: all that follows goes by that. Until
// held, if that is not zero, it is neither admitted nor rejected.
// https://kubernetes.io/docs/concepts/scheduling-eviction/
func (a *Agent) allocate(ctx context.Context, pod *v1.Pod, s *podState, have []pods.Instance) (granted *v1.Pod, held time.Time) {
	if pods.IsFinal(pod.Status.Phase) || s.failure != nil {
		return pod, time.Time{}
	}
	if pod, known := a.asGranted(pod, s); known {
		return pod, time.Time{}
	}
	var node *v1.Node
	if len(have) == 0 { // what runs already was admitted
		node = a.nodeFor(ctx, pod)
	}
	if r := a.grantResources(pod, node, len(have) > 0); r != nil {
		return pod, a.reject(pod, s, r)
	}
	if s.rejected != nil {
		s.rejected = &status.Reason{}
	}
	if err := a.keep(pod.UID, grantOf(pod)); err != nil {
		a.log.Warn("what a pod was granted cannot be kept", "pod", s.ref, "error", err)
	}
	return pod, time.Time{}
}

// grantResources grants a Pod what it declares if the node can take it.
func (a *Agent) grantResources(pod *v1.Pod, node *v1.Node, ran bool) *status.Reason {
	a.allocations.mu.Lock()
	defer a.allocations.mu.Unlock()
	if !ran {
		if r := a.admit(pod, node); r != nil {
			return r
		}
	}
	a.allocations.grants[pod.UID] = &holding{grant: grantOf(pod)}
	return nil
}

// asGranted is a Pod that was admitted with what it may use now; known is false if it was not.
func (a *Agent) asGranted(pod *v1.Pod, s *podState) (out *v1.Pod, known bool) {
	a.allocations.mu.Lock()
	defer a.allocations.mu.Unlock()
	granted, known := a.allocations.grants[pod.UID]
	if !known {
		return nil, false
	}
	return a.considerResize(pod, s, granted.grant), true
}

// admit checks a Pod that is new here. The caller holds the lock.
func (a *Agent) admit(pod *v1.Pod, own *v1.Node) *status.Reason {
	if pod.Spec.OS != nil && pod.Spec.OS.Name != v1.Linux {
		return &status.Reason{Reason: "PodOSNotSupported", Message: "Failed to admit pod as the OS field doesn't match node OS"}
	}
	others := a.admittedPods(pod.UID)
	allocatable := a.node.Allocatable()
	if own != nil {
		allocatable = node.WithDeclared(allocatable, own.Status.Allocatable)
	}
	if r := shortage(pod, others, allocatable); r != nil {
		return r
	}
	if own != nil {
		if fits, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(own); err != nil || !fits {
			return &status.Reason{Reason: "NodeAffinity", Message: "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"}
		}
	}
	if r := unenforceable(pod, hasAppArmor(), a.opts.AllowedUnsafeSysctls); r != nil {
		return r
	}
	if portTaken(pod, others) {
		return &status.Reason{Reason: "NodePorts", Message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"}
	}
	return nil
}

// nodeFor reads this node's object for a Pod that cares for its labels, or for resources that
// others than the agent declare; nil if it does not. If it cannot be read the scheduler's choice
// is believed.
func (a *Agent) nodeFor(ctx context.Context, pod *v1.Pod) *v1.Node {
	affine := pod.Spec.Affinity != nil && pod.Spec.Affinity.NodeAffinity != nil
	if len(pod.Spec.NodeSelector) == 0 && !affine && !requestsExtended(pods.Requests(pod)) {
		return nil
	}
	node, err := a.ownNode(ctx)
	if err != nil {
		return nil
	}
	return node
}

// requestsExtended tells of extended resources, which the agent does not know by itself.
func requestsExtended(wanted v1.ResourceList) bool {
	for name := range wanted {
		if v1helper.IsExtendedResourceName(name) {
			return true
		}
	}
	return false
}

// ownNode reads this node's object.
func (a *Agent) ownNode(ctx context.Context) (*v1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return a.client.CoreV1().Nodes().Get(ctx, a.opts.NodeName, metav1.GetOptions{})
}

// shortage names the first resource of which the others leave too little; nil if the Pod
// fits.
func shortage(pod *v1.Pod, others []admittedPod, allocatable v1.ResourceList) *status.Reason {
	if most := allocatable[v1.ResourcePods]; int64(len(others)) >= most.Value() {
		return outOf(v1.ResourcePods, 1, int64(len(others)), most.Value())
	}
	wanted := pods.Requests(pod)
	if len(wanted) == 0 {
		return nil
	}
	used := v1.ResourceList{}
	for _, other := range others {
		for name, amount := range other.requests {
			sum := used[name]
			sum.Add(amount)
			used[name] = sum
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(wanted), inKubeletsOrder) {
		all, known := allocatable[name]
		if !known && v1helper.IsExtendedResourceName(name) {
			continue // of the cluster, not of this node
		}
		want, taken, capacity := count(name, wanted), count(name, used), all.Value()
		if name == v1.ResourceCPU {
			capacity = all.MilliValue()
		}
		if want > 0 && want > capacity-taken {
			return outOf(name, want, taken, capacity)
		}
	}
	return nil
}

func outOf(name v1.ResourceName, requested, used, capacity int64) *status.Reason {
	return &status.Reason{Reason: "OutOf" + string(name), Message: fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, requested, used, capacity)}
}

// count is an amount as a kubelet counts it: CPU in thousandths, all else in units.
func count(name v1.ResourceName, in v1.ResourceList) int64 {
	amount := in[name]
	if name == v1.ResourceCPU {
		return amount.MilliValue()
	}
	return amount.Value()
}

// inKubeletsOrder puts first what a kubelet checks first.
func inKubeletsOrder(a, b v1.ResourceName) int {
	rank := func(name v1.ResourceName) int {
		known := slices.Index([]v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage}, name)
		if known < 0 {
			return 3
		}
		return known
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

// portTaken tells whether a port of the host that the Pod asks for is another's.
func portTaken(pod *v1.Pod, others []admittedPod) bool {
	for _, want := range pods.HostPorts(pod) {
		for _, other := range others {
			for _, taken := range pods.HostPorts(other.Pod) {
				anywhere := !want.Address.IsValid() || !taken.Address.IsValid() || want.Address.IsUnspecified() || taken.Address.IsUnspecified()
				if want.Port == taken.Port && want.Protocol == taken.Protocol && (anywhere || want.Address == taken.Address) {
					return true
				}
			}
		}
	}
	return false
}
