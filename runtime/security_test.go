package runtime

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

func TestNonRootIsHeldToItsWord(t *testing.T) {
	yes, root, other := true, int64(0), int64(1000)
	for _, test := range []struct {
		name, user string // of the image
		pod        *int64 // runAsUser
		want       string // part of the message; empty: it runs
	}{
		{name: "an image of root", want: "container has runAsNonRoot and image will run as root"},
		{name: "an image of root by number", user: "0:0", want: "container has runAsNonRoot and image will run as root"},
		{name: "an image of a named user", user: "www", want: "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root"},
		{name: "an image of a numbered user", user: "65532:65532"},
		{name: "a Pod that chooses another user", pod: &other},
		{name: "a Pod that chooses root", user: "65532", pod: &root, want: "container's runAsUser breaks non-root policy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.engine.mu.Lock()
				image := r.engine.images["app:1"]
				image.User = test.user
				r.engine.images["app:1"] = image
				r.engine.mu.Unlock()
				r.pod("web", func(p *v1.Pod) {
					p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: test.pod}
				})
				if test.want == "" {
					r.wantState("web", "app", "running 0")
					return
				}
				r.wantState("web", "app", "waiting CreateContainerConfigError 0")
				r.wantEvent("web", "Failed: Error: "+test.want)
			})
		})
	}
}

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
		pod.Spec.Containers = []v1.Container{app("app")}
		if r := unenforceable(pod, false, nil); r != nil {
			t.Errorf("an ordinary Pod: %+v", r)
		}
		test.change(&pod.Spec)
		if r := unenforceable(pod, false, nil); r == nil || r.Reason != test.reason {
			t.Errorf("got %+v, want %s", r, test.reason)
		}
	}
}

func TestPodThatWasTurnedAwayHasFailed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		no := false
		r.pod("web", func(p *v1.Pod) { p.Spec.HostUsers = &no })
		want := func() {
			t.Helper()
			r.after(time.Second)
			s := r.get("web").Status
			if s.Phase != v1.PodFailed || s.Reason != "UserNamespacesNotSupported" || !strings.HasPrefix(s.Message, "Pod was rejected: hostUsers: false asks for") {
				t.Errorf("status %s %q %q", s.Phase, s.Reason, s.Message)
			}
			if len(s.ContainerStatuses) > 0 {
				t.Errorf("its container is %+v", s.ContainerStatuses[0])
			}
			r.wantNames()
		}
		want()
		r.stop()
		r.start()
		want()
	})
}

func TestSeccompProfiles(t *testing.T) {
	a := &Agent{opts: Options{Root: t.TempDir()}}
	localhost := func(name string) *v1.SeccompProfile {
		return &v1.SeccompProfile{Type: v1.SeccompProfileTypeLocalhost, LocalhostProfile: &name}
	}
	if err := os.MkdirAll(filepath.Join(a.opts.Root, seccompDir, "profiles"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.opts.Root, seccompDir, "profiles", "mine.json"), []byte("{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n"), 0o644); err != nil {
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
		got, err := a.seccomp(test.profile)
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
	spec := &docker.ContainerSpec{}
	applySecurity(spec, testPod(), &v1.Container{SecurityContext: &v1.SecurityContext{ProcMount: &unmasked}})
	if !spec.UnmaskPaths {
		t.Error("its /proc is masked")
	}
}

func TestHostnameMayBeTheWholeName(t *testing.T) {
	yes := true
	pod := testPod()
	pod.Spec.Subdomain, pod.Spec.SetHostnameAsFQDN = "peers", &yes
	if got, err := pods.KernelHostname(pod, "cluster.local"); got != "web.peers.ns.svc.cluster.local" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	pod.Namespace = strings.Repeat("n", 50)
	if _, err := pods.KernelHostname(pod, "cluster.local"); err == nil || !strings.Contains(err.Error(), "is too long (64 characters is the max, 78 characters requested)") {
		t.Errorf("too long a name: %v", err)
	}
}
