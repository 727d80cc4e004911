package spec

import (
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestSysctlsThatAreNotSafeMustBeAllowed(t *testing.T) {
	none, host := v1.PodSpec{}, v1.PodSpec{HostNetwork: true, HostIPC: true}
	for _, c := range []struct {
		name    string
		spec    v1.PodSpec
		allowed []string
		want    string
	}{
		{"net.ipv4.tcp_syncookies", none, nil, ""},
		{"net/ipv4/tcp_syncookies", none, nil, ""},
		{"net.ipv4.tcp_syncookies", host, nil, `forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host Net enabled`},
		{"kernel.shm_rmid_forced", host, nil, `forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host IPC enabled`},
		{"net.core.somaxconn", none, nil, `forbidden sysctl: "net.core.somaxconn" not allowlisted`},
		{"net.core.somaxconn", none, []string{"net.core.somaxconn"}, ""},
		{"net/core/somaxconn", none, []string{"net/core/*"}, ""},
		{"kernel.msgmax", none, []string{"kernel.msg*"}, ""},
		{"kernel.msgmax", none, []string{"kernel.msg"}, `forbidden sysctl: "kernel.msgmax" not allowlisted`},
		{"kernel.msgmax", host, []string{"kernel.msg*"}, `forbidden sysctl: "kernel.msgmax" not allowed with host IPC enabled`},
		{"vm.swappiness", none, nil, `forbidden sysctl: "vm.swappiness" not allowlisted`},
	} {
		if got := forbiddenSysctl(c.name, c.spec, c.allowed); got != c.want {
			t.Errorf("%s with %q allowed: %q, want %q", c.name, c.allowed, got, c.want)
		}
	}
}

func TestOnlySysctlsOfNamespacesCanBeAllowed(t *testing.T) {
	if err := CheckSysctls([]string{"net.core.somaxconn", "kernel.msg*", "fs.mqueue.*", "net/ipv4/*"}); err != nil {
		t.Error(err)
	}
	for _, pattern := range []string{"vm.swappiness", "kernel.*", "*", ""} {
		if err := CheckSysctls([]string{pattern}); err == nil {
			t.Errorf("%q is allowed", pattern)
		}
	}
}

func TestSysctlsAreNamedWithDots(t *testing.T) {
	pod := testPod()
	pod.Spec.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "net/ipv4/tcp_syncookies", Value: "1"}}}
	if got := sysctls(pod, true, false); got["net.ipv4.tcp_syncookies"] != "1" {
		t.Errorf("got %v", got)
	}
}

func TestPodHasTheLoopbackAddressOfIPv6(t *testing.T) {
	class := "sandboxed"
	for what, c := range map[string]struct {
		spec   v1.PodSpec
		kernel bool // knows IPv6
		want   string
	}{
		"by default":                       {v1.PodSpec{}, true, "0"},
		"not without IPv6 in the kernel":   {v1.PodSpec{}, false, ""},
		"the host's network is left be":    {v1.PodSpec{HostNetwork: true}, true, ""},
		"and so are other runtimes":        {v1.PodSpec{RuntimeClassName: &class}, true, ""},
		"a Pod that disables it wins":      {v1.PodSpec{SecurityContext: &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "net.ipv6.conf.all.disable_ipv6", Value: "1"}}}}, true, ""},
		"one that has others has this too": {v1.PodSpec{SecurityContext: &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "kernel.msgmax", Value: "1"}}}}, true, "0"},
	} {
		if got := sysctls(&v1.Pod{Spec: c.spec}, c.kernel, false)["net.ipv6.conf.lo.disable_ipv6"]; got != c.want {
			t.Errorf("%s: got %q, want %q", what, got, c.want)
		}
	}
}
