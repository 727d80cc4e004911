package limits

import (
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// OfPod are those of a whole Pod: what it declares, or else all its containers together.
func OfPod(pod *v1.Pod) docker.Resources {
	request := pods.Requests(pod)[v1.ResourceCPU]
	return bounds(request, pods.Bound(pod, v1.ResourceCPU), pods.Bound(pod, v1.ResourceMemory))
}

// Linux CPU bandwidth and shares, as a kubelet sets them.
// https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
const (
	cpuPeriod    = 100_000 // microseconds
	minCPUQuota  = 1_000   // microseconds: the kernel refuses less
	sharesPerCPU = 1024
	MinShares    = 2 // what Docker and the kernel allow
	maxShares    = 262_144
)

// OfContainer are the bounds of a container: a request becomes a share, a limit a bound.
// What the container does not limit the Pod's own limit does.
func OfContainer(pod *v1.Pod, c *v1.Container) docker.Resources {
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
		CPUShares: min(maxShares, max(MinShares, request.MilliValue()*sharesPerCPU/1000)),
		Memory:    memory.Value(),
	}
	if !cpu.IsZero() {
		out.CPUPeriod = cpuPeriod
		out.CPUQuota = max(minCPUQuota, cpu.MilliValue()*cpuPeriod/1000)
	}
	return out
}

// cpuLimit is that of bounds in force, the inverse of OfContainer; zero: there is none.
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

// Reported are those of a container's status: while it runs those in force,
// where Docker knows them, else those granted.
func Reported(c *v1.Container, i pods.Instance) *v1.ResourceRequirements {
	out := c.Resources.DeepCopy()
	if !i.Running() {
		return out
	}
	// What rounding to shares and quotas changes is shown as it was declared.
	if limit := cpuLimit(i.Resources); out.Limits != nil && !limit.IsZero() &&
		(limit.MilliValue() > minMilliLimit || out.Limits.Cpu().MilliValue() > minMilliLimit) {
		out.Limits[v1.ResourceCPU] = limit
	}
	if out.Limits != nil && i.Resources.Memory > 0 {
		out.Limits[v1.ResourceMemory] = *resource.NewQuantity(i.Resources.Memory, resource.BinarySI)
	}
	if request := cpuRequest(i.Resources); out.Requests != nil && (request.MilliValue() > MinShares || out.Requests.Cpu().MilliValue() > MinShares) {
		out.Requests[v1.ResourceCPU] = request
	}
	return out
}

// minMilliLimit is the CPU limit that the least quota stands for.
const minMilliLimit = minCPUQuota * 1000 / cpuPeriod

// ReportedPod are those of the whole Pod, as granted.
func ReportedPod(pod *v1.Pod) *v1.ResourceRequirements {
	out := &v1.ResourceRequirements{Requests: pods.Requests(pod), Limits: pods.Limits(pod)}
	if pod.Spec.Resources != nil {
		out.Claims = pod.Spec.Resources.Claims
	}
	return out
}
