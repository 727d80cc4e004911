package spec

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

// CheckSysctls checks patterns for Config.AllowedUnsafeSysctls: each is a parameter, or the
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

// loopbackSysctl brings up ::1, which Docker takes away in networks without IPv6: programs
// listen there that mean localhost, and on a Kubernetes node they can.
const loopbackSysctl = "net.ipv6.conf.lo.disable_ipv6"

// deviceSysctl has the devices of a Pod take addresses of IPv6, and only those that we give them.
const deviceSysctl = "net.ipv6.conf.default.disable_ipv6"

// sysctls are those that the Pod declares; ipv6 tells that the kernel knows IPv6, addressed that the Pod has an address of it.
func sysctls(pod *v1.Pod, ipv6, addressed bool) map[string]string {
	out := map[string]string{}
	if addressed && !pod.Spec.HostNetwork {
		out[deviceSysctl], out["net.ipv6.conf.default.accept_ra"] = "0", "0"
	}
	if ipv6 && !pod.Spec.HostNetwork && pod.Spec.RuntimeClassName == nil { // another runtime may have a kernel of its own
		out[loopbackSysctl] = "0"
	}
	if pod.Spec.SecurityContext == nil {
		return out
	}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		name := sysctl.NormalizeName(s.Name) // with dots, as Docker wants it
		if strings.HasSuffix(name, ".disable_ipv6") {
			delete(out, loopbackSysctl) // Docker sets them in no order: the Pod's shall hold
		}
		out[name] = s.Value
	}
	return out
}
