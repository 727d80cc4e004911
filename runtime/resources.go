package runtime

import (
	"slices"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Linux CPU bandwidth and shares, as a kubelet sets them.
// https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
const (
	cpuPeriod    = 100_000 // microseconds
	minCPUQuota  = 1_000   // microseconds: the kernel refuses less
	sharesPerCPU = 1024
	minShares    = 2
	maxShares    = 262_144
)

// resourcesOf are the bounds of a container: a request becomes a share, a limit a bound.
// What the container does not limit the Pod's own limit does.
func resourcesOf(pod *v1.Pod, c *v1.Container) docker.Resources {
	cpu, memory := pods.Limit(pod, c, v1.ResourceCPU), pods.Limit(pod, c, v1.ResourceMemory)
	request, ok := c.Resources.Requests[v1.ResourceCPU]
	if !ok {
		request = cpu
	}
	return bounds(request, cpu, memory)
}

// bounds are those of a request for CPU and of limits; a zero limit is none.
func bounds(request, cpu, memory resource.Quantity) docker.Resources {
	out := docker.Resources{
		CPUShares: min(maxShares, max(minShares, request.MilliValue()*sharesPerCPU/1000)),
		Memory:    memory.Value(),
	}
	if !cpu.IsZero() {
		out.CPUPeriod = cpuPeriod
		out.CPUQuota = max(minCPUQuota, cpu.MilliValue()*cpuPeriod/1000)
	}
	return out
}

// The inverse of resourcesOf, as far as it can be inverted: what Docker has in force.

// cpuLimit is zero if there is none.
func cpuLimit(r docker.Resources) resource.Quantity {
	if r.CPUPeriod == 0 || r.CPUQuota <= 0 {
		return resource.Quantity{}
	}
	return *resource.NewMilliQuantity(r.CPUQuota*1000/r.CPUPeriod, resource.DecimalSI)
}

// cpuRequest rounds up: shares are coarser than thousandths of a CPU.
func cpuRequest(r docker.Resources) resource.Quantity {
	return *resource.NewMilliQuantity((r.CPUShares*1000+sharesPerCPU-1)/sharesPerCPU, resource.DecimalSI)
}

// reportedResources are those of a container's status: while it runs those in force,
// where Docker knows them, else those granted.
func reportedResources(c *v1.Container, i pods.Instance) *v1.ResourceRequirements {
	out := c.Resources.DeepCopy()
	if !i.Running() {
		return out
	}
	// What rounding to shares and quotas changes is shown as it was declared.
	if limit := cpuLimit(i.Resources); out.Limits != nil && !limit.IsZero() && (limit.MilliValue() > minMilliLimit || out.Limits.Cpu().MilliValue() > minMilliLimit) {
		out.Limits[v1.ResourceCPU] = limit
	}
	if out.Limits != nil && i.Resources.Memory > 0 {
		out.Limits[v1.ResourceMemory] = *resource.NewQuantity(i.Resources.Memory, resource.BinarySI)
	}
	if request := cpuRequest(i.Resources); out.Requests != nil && (request.MilliValue() > minShares || out.Requests.Cpu().MilliValue() > minShares) {
		out.Requests[v1.ResourceCPU] = request
	}
	return out
}

// minMilliLimit is the CPU limit that the least quota stands for.
const minMilliLimit = minCPUQuota * 1000 / cpuPeriod

// resources are those of the whole Pod; of one that declares its own those in force, which
// are the old ones until a resize is done.
func (o observation) resources() *v1.ResourceRequirements {
	resizing := slices.ContainsFunc(o.resize, func(c v1.PodCondition) bool { return c.Type == v1.PodResizeInProgress })
	if old := o.pod.Status.Resources; resizing && old != nil && resourcehelper.IsPodLevelResourcesSet(o.pod) {
		return old.DeepCopy()
	}
	return podResources(o.pod)
}

// podResources are those of the whole Pod, as granted.
func podResources(pod *v1.Pod) *v1.ResourceRequirements {
	out := &v1.ResourceRequirements{Requests: pods.Requests(pod), Limits: pods.Limits(pod)}
	if pod.Spec.Resources != nil {
		out.Claims = pod.Spec.Resources.Claims
	}
	return out
}
