package pods

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// Limit is the limit that holds for a container, its own or else the Pod's; zero: none.
func Limit(pod *v1.Pod, c *v1.Container, name v1.ResourceName) resource.Quantity {
	if limit := c.Resources.Limits[name]; !limit.IsZero() || pod.Spec.Resources == nil {
		return limit
	}
	return pod.Spec.Resources.Limits[name]
}

// Requests are what a Pod takes of the node: its containers' requests as they come to run
// beside and after each other, or the Pod's own, and its overhead.
func Requests(pod *v1.Pod) v1.ResourceList {
	return resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
}

// Limits are the sum of the containers' limits, or the Pod's own.
func Limits(pod *v1.Pod) v1.ResourceList {
	return resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
}

// Bound is the most that a whole Pod can use of a resource; zero: no bound, since neither
// the Pod nor one of its containers has one.
func Bound(pod *v1.Pod, name v1.ResourceName) resource.Quantity {
	if pod.Spec.Resources != nil {
		if limit := pod.Spec.Resources.Limits[name]; !limit.IsZero() {
			return limit
		}
	}
	every := true
	all := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{
		ContainerFn: func(limits v1.ResourceList, _ resourcehelper.ContainerType) {
			limit := limits[name]
			every = every && !limit.IsZero()
		},
	})
	if !every {
		return resource.Quantity{}
	}
	return all[name]
}
