package spec

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

func TestPodIsTurnedAwayRatherThanRunLessSafely(t *testing.T) {
	no, profile := false, "mine"
	for _, test := range []struct {
		reason string
		change func(*v1.PodSpec)
	}{
		{"UserNamespacesNotSupported", func(s *v1.PodSpec) { s.HostUsers = &no }},
		{"SysctlForbidden", func(s *v1.PodSpec) {
			s.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "vm.swappiness", Value: "1"}}}
		}},
		{"AppArmor", func(s *v1.PodSpec) {
			s.Containers[0].SecurityContext = &v1.SecurityContext{AppArmorProfile: &v1.AppArmorProfile{Type: v1.AppArmorProfileTypeLocalhost, LocalhostProfile: &profile}}
		}},
	} {
		pod := testPod()
		pod.Spec.Containers = []v1.Container{{Name: "app"}}
		if r := unenforceable(pod, false, nil); r != nil {
			t.Errorf("an ordinary Pod: %+v", r)
		}
		test.change(&pod.Spec)
		if r := unenforceable(pod, false, nil); r == nil || r.Reason != test.reason {
			t.Errorf("got %+v, want %s", r, test.reason)
		}
	}
}

func TestSeccompProfiles(t *testing.T) {
	b := New(Config{Root: t.TempDir()})
	localhost := func(name string) *v1.SeccompProfile {
		return &v1.SeccompProfile{Type: v1.SeccompProfileTypeLocalhost, LocalhostProfile: &name}
	}
	if err := os.MkdirAll(filepath.Join(b.config.Root, SeccompDir, "profiles"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.config.Root, SeccompDir, "profiles", "mine.json"), []byte("{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		profile *v1.SeccompProfile
		want    []string
		err     string
	}{
		{"none is unconfined", nil, []string{"seccomp=unconfined"}, ""},
		{"the runtime's", &v1.SeccompProfile{Type: v1.SeccompProfileTypeRuntimeDefault}, nil, ""},
		{"one of this machine", localhost("profiles/mine.json"), []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`}, ""},
		{"one that is missing", localhost("no.json"), nil, `cannot load seccomp profile "no.json"`},
		{"one that leads elsewhere", localhost("../../etc/passwd"), nil, "cannot load seccomp profile"},
	} {
		got, err := b.seccomp(test.profile)
		if !slices.Equal(got, test.want) || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %q, %v", test.name, got, err)
		}
	}
}

func TestSecurityModulesAreUsedWhereTheHostHasThem(t *testing.T) {
	profile := "mine"
	armor := &v1.AppArmorProfile{Type: v1.AppArmorProfileTypeLocalhost, LocalhostProfile: &profile}
	if got := appArmor(armor, true); !slices.Equal(got, []string{"apparmor=mine"}) || appArmor(armor, false) != nil {
		t.Errorf("AppArmor: %q", got)
	}
	label := &v1.SELinuxOptions{Type: "spc_t", Level: "s0:c1"}
	if got := seLinux(label, true); !slices.Equal(got, []string{"label=type:spc_t", "label=level:s0:c1"}) || seLinux(label, false) != nil {
		t.Errorf("SELinux: %q", got)
	}
}

func TestUnmaskedProc(t *testing.T) {
	unmasked := v1.UnmaskedProcMount
	made := &docker.ContainerSpec{}
	applySecurity(made, testPod(), &v1.Container{SecurityContext: &v1.SecurityContext{ProcMount: &unmasked}})
	if !made.UnmaskPaths {
		t.Error("its /proc is masked")
	}
}
