package runtime

import (
	"slices"

	"github.com/kube-lite/kube-lite/runtime/limits"
	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// The inverse of OfContainer, as far as it can be inverted: what Docker has in force.

// resources are those of the whole Pod; of one that declares its own those in force, which
// are the old ones until a resize is done.
func (o observation) resources() *v1.ResourceRequirements {
	resizing := slices.ContainsFunc(o.resize, func(c v1.PodCondition) bool { return c.Type == v1.PodResizeInProgress })
	if old := o.pod.Status.Resources; resizing && old != nil && resourcehelper.IsPodLevelResourcesSet(o.pod) {
		return old.DeepCopy()
	}
	return limits.ReportedPod(o.pod)
}
