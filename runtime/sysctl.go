package runtime

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/node/util/sysctl"
)

// safeSysctls are the parameters of the kernel that every Pod may set: each has its own, and
// no Pod can do harm to another with it.
// https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls
var safeSysctls = []string{
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range",
	"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}

// CheckSysctls checks patterns for Options.AllowedUnsafeSysctls: each is a parameter, or the
// beginning of some and a star, of which each network or IPC namespace has its own.
func CheckSysctls(patterns []string) error {
	for _, pattern := range patterns {
		if namespace, _, _ := sysctl.GetNamespace(pattern); namespace == sysctl.UnknownNamespace {
			return fmt.Errorf("the sysctls %q are not known to be namespaced", pattern)
		}
	}
	return nil
}

// forbiddenSysctl says in a kubelet's words what keeps a Pod from setting a parameter; it is
// empty if nothing does. Allowed are more than the safe ones, as patterns.
func forbiddenSysctl(name string, spec v1.PodSpec, allowed []string) string {
	name = sysctl.NormalizeName(name)
	if !slices.ContainsFunc(slices.Concat(safeSysctls, allowed), func(pattern string) bool { return matchesSysctl(pattern, name) }) {
		return fmt.Sprintf("forbidden sysctl: %q not allowlisted", name)
	}
	namespace, _, _ := sysctl.GetNamespace(name)
	if namespace == sysctl.NetNamespace && spec.HostNetwork || namespace == sysctl.IPCNamespace && spec.HostIPC {
		return fmt.Sprintf("forbidden sysctl: %q not allowed with host %s enabled", name, namespace)
	}
	return ""
}

func matchesSysctl(pattern, name string) bool {
	prefix, more := strings.CutSuffix(sysctl.NormalizeName(pattern), "*")
	return name == prefix || more && strings.HasPrefix(name, prefix)
}
