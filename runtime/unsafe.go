package runtime

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// unsafeHere names what a Pod asks for that this node cannot keep it safe with; nil if
// there is nothing. Such a Pod is turned away rather than run with less.
func unsafeHere(pod *v1.Pod, appArmor bool) *rejection {
	for _, c := range allContainers(pod) {
		if sc := c.SecurityContext; sc != nil && needsAppArmor(sc.AppArmorProfile) && !appArmor {
			return noAppArmor
		}
	}
	ps := pod.Spec.SecurityContext
	switch {
	case pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers:
		return &rejection{"UserNamespacesNotSupported", "hostUsers: false asks for a user namespace of the Pod's own, which the Docker Engine cannot give to one Pod"}
	case ps == nil:
		return nil
	case needsAppArmor(ps.AppArmorProfile) && !appArmor:
		return noAppArmor
	}
	for _, s := range ps.Sysctls {
		if !namespacedSysctl(s.Name, pod.Spec) {
			return &rejection{"SysctlForbidden", fmt.Sprintf("forbidden sysctl: %q not allowlisted", s.Name)}
		}
	}
	return nil
}

var noAppArmor = &rejection{"AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"}

func needsAppArmor(p *v1.AppArmorProfile) bool {
	return p != nil && p.Type == v1.AppArmorProfileTypeLocalhost
}

// namespacedSysctl tells whether a parameter of the kernel can be set for one Pod alone.
// A kubelet lets only the safe ones of these through unless told otherwise; a machine of
// one's own has no neighbours to protect.
// https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
func namespacedSysctl(name string, spec v1.PodSpec) bool {
	name = strings.ReplaceAll(name, "/", ".")
	switch {
	case strings.HasPrefix(name, "net."):
		return !spec.HostNetwork
	case strings.HasPrefix(name, "kernel.shm"), strings.HasPrefix(name, "kernel.msg"), name == "kernel.sem", strings.HasPrefix(name, "fs.mqueue."):
		return !spec.HostIPC
	}
	return false
}
