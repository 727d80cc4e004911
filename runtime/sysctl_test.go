package runtime

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
