package spec

import (
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// Enforceable says why this node cannot keep a Pod safe as it asks; nil: it can. Such a Pod is rejected rather than run
// with less.
func (b *Builder) Enforceable(pod *v1.Pod) *pods.Reason {
	return unenforceable(pod, hasAppArmor(), b.config.AllowedUnsafeSysctls)
}

// unenforceable names what a Pod asks for that this node cannot keep it safe with; nil if
// there is nothing. Sysctls are the
// patterns of those that are allowed though they are not safe.
func unenforceable(pod *v1.Pod, appArmor bool, sysctls []string) *pods.Reason {
	for _, c := range pods.AllContainers(pod) {
		if sc := c.SecurityContext; sc != nil && needsAppArmor(sc.AppArmorProfile) && !appArmor {
			return noAppArmor
		}
	}
	ps := pod.Spec.SecurityContext
	switch {
	case pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers:
		return &pods.Reason{Reason: "UserNamespacesNotSupported",
			Message: "hostUsers: false asks for a user namespace of the Pod's own, which the Docker Engine cannot give to one Pod"}
	case ps == nil:
		return nil
	case needsAppArmor(ps.AppArmorProfile) && !appArmor:
		return noAppArmor
	}
	for _, s := range ps.Sysctls {
		if why := forbiddenSysctl(s.Name, pod.Spec, sysctls); why != "" {
			return &pods.Reason{Reason: "SysctlForbidden", Message: why}
		}
	}
	return nil
}

var noAppArmor = &pods.Reason{Reason: "AppArmor", Message: "Cannot enforce AppArmor: AppArmor is not enabled on the host"}

func needsAppArmor(p *v1.AppArmorProfile) bool {
	return p != nil && p.Type == v1.AppArmorProfileTypeLocalhost
}
