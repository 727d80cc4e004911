package pods

import (
	"cmp"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/securitycontext"
)

// SecurityContext is the container's security context with what it leaves to the Pod's.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
func SecurityContext(pod *v1.Pod, c *v1.Container) v1.SecurityContext {
	merged := *securitycontext.DetermineEffectiveSecurityContext(pod, c) // knows no profiles
	var ofPod v1.PodSecurityContext
	if pod.Spec.SecurityContext != nil {
		ofPod = *pod.Spec.SecurityContext
	}
	var own v1.SecurityContext
	if c.SecurityContext != nil {
		own = *c.SecurityContext
	}
	merged.SeccompProfile = cmp.Or(own.SeccompProfile, ofPod.SeccompProfile)
	merged.AppArmorProfile = cmp.Or(own.AppArmorProfile, ofPod.AppArmorProfile)
	return merged
}
