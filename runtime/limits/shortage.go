package limits

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// admittedPod is a Pod that holds a part of the node.
type admittedPod struct {
	*v1.Pod
	requests v1.ResourceList
}

// shortage names the first resource of which the others leave too little; nil if the Pod
// fits.
func shortage(pod *v1.Pod, others []admittedPod, allocatable v1.ResourceList) *pods.Reason {
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

func outOf(name v1.ResourceName, requested, used, capacity int64) *pods.Reason {
	return &pods.Reason{Reason: "OutOf" + string(name),
		Message: fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, requested, used, capacity)}
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
