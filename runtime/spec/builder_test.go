package spec

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/moby/sys/user"
	v1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func testPod() *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid"},
		Spec:       v1.PodSpec{NodeName: "node", DNSPolicy: v1.DNSClusterFirst},
	}
}

func TestContainerSpecIsWhatIsDeclared(t *testing.T) {
	uid, gid, yes := int64(1000), int64(2000), true
	pod := testPod()
	pod.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: &uid, RunAsGroup: &gid, SupplementalGroups: []int64{7}}
	other := int64(1)
	no := false
	c := &v1.Container{
		Name: "app", Image: "app:1", Command: []string{"/bin/$(NAME)"}, Args: []string{"$$(NAME)", "$(UNKNOWN)"}, WorkingDir: "/srv", TTY: true, Stdin: true,
		Resources: v1.ResourceRequirements{
			Limits:   v1.ResourceList{v1.ResourceCPU: resource.MustParse("1500m"), v1.ResourceMemory: resource.MustParse("64Mi")},
			Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("500m")},
		},
		SecurityContext: &v1.SecurityContext{
			RunAsUser: &other, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no,
			Capabilities: &v1.Capabilities{Add: []v1.Capability{"NET_ADMIN"}, Drop: []v1.Capability{"all"}},
		},
	}
	b := New(Config{Owner: pods.Owner{Instance: "test"}, OOMScores: &limits.OOMScores{}})
	s := b.Container(pod, c, 2, "sandbox", []string{"NAME=run"}, nil)
	if s.Name != "k8s_app_web_ns_uid_2" || !slices.Equal(s.Entrypoint, []string{"/bin/run"}) || !slices.Equal(s.Cmd, []string{"$(NAME)", "$(UNKNOWN)"}) ||
		s.WorkingDir != "/srv" || !s.TTY || !s.Stdin || s.Network != "container:sandbox" || s.IPC != "container:sandbox" || s.PID != "" {
		t.Errorf("process: %+v", s)
	}
	if s.CPUShares != 512 || s.CPUQuota != 150_000 || s.CPUPeriod != 100_000 || s.Memory != 64<<20 {
		t.Errorf("resources: %+v", s)
	}
	if s.User != "1:2000" || !slices.Equal(s.Groups, []string{"7"}) || !s.ReadOnlyRootFS || !slices.Equal(s.CapAdd, []string{"NET_ADMIN"}) ||
		!slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpts, "no-new-privileges") {
		t.Errorf("security: %+v", s)
	}
	back, ok := pods.InstanceOf(docker.Container{Labels: s.Labels})
	if !ok || back.Pod != pods.RefOf(pod) || back.ContainerName != "app" || back.Attempt != 2 || back.SandboxID != "sandbox" || back.SpecHash != pods.SpecHash(pod, c) {
		t.Errorf("read back: %+v", back)
	}
}

func TestSandboxSpecHoldsThePodsNamespaces(t *testing.T) {
	b := New(Config{Owner: pods.Owner{Instance: "test"}, Network: docker.NetworkSpec{Name: "kube-lite-test"}, OOMScores: &limits.OOMScores{}})
	pod := testPod()
	address := netip.MustParseAddr("10.244.0.2")
	s, err := b.Sandbox(pod, 3, address)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "k8s_POD_web_ns_uid_3" || s.Hostname != "web" || s.Network != docker.NoNetwork || s.Address.IsValid() {
		t.Errorf("sandbox %+v", s)
	}
	if i, ok := pods.InstanceOf(docker.Container{Labels: s.Labels}); !ok || i.Address != address {
		t.Errorf("read back: %+v", i)
	}
	for what, needs := range map[string]func(*v1.PodSpec){
		"another runtime": func(s *v1.PodSpec) { s.RuntimeClassName = ptr.To("kata") },
		"a parameter of eth0": func(s *v1.PodSpec) {
			s.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "net/ipv4/conf/eth0/rp_filter", Value: "2"}}}
		},
	} {
		pod := pod.DeepCopy()
		needs(&pod.Spec)
		if s, err := b.Sandbox(pod, 0, address); err != nil || s.Network != "kube-lite-test" || s.Address != address {
			t.Errorf("sandbox with %s: %+v, %v", what, s, err)
		}
	}
	pod.Spec.HostNetwork = true
	if s, err := b.Sandbox(pod, 0, netip.Addr{}); err != nil || s.Network != "host" || s.UTS != "host" || s.Hostname != "" {
		t.Errorf("sandbox in the host's network %+v", s)
	}
}

// fixedEngine has one image, of a user, and one runtime beside the default one.
type fixedEngine struct{ user string }

func (e fixedEngine) Image(context.Context, string) (docker.Image, error) {
	return docker.Image{ID: "sha256:1", User: e.user}, nil
}

func (fixedEngine) Info(context.Context) (docker.Info, error) {
	return docker.Info{Runtimes: []string{"runc", "sandboxed"}}, nil
}

func TestRuntimeIsTheHandlerOfTheClassIfDockerHasIt(t *testing.T) {
	b := New(Config{Engine: fixedEngine{}, RuntimeClass: func(_ context.Context, name string) (*nodev1.RuntimeClass, error) {
		if name == "tight" {
			return &nodev1.RuntimeClass{Handler: "sandboxed"}, nil
		}
		return nil, apierrors.NewNotFound(nodev1.Resource("runtimeclasses"), name)
	}})
	for class, want := range map[string]string{"tight": "sandboxed", "sandboxed": "sandboxed", "kata": "", "": ""} {
		pod := testPod()
		pod.Spec.RuntimeClassName = &class
		handler, known, err := b.Runtime(t.Context(), pod)
		if err != nil || handler != want || known != (class != "kata") {
			t.Errorf("class %q: %q, known: %v, %v", class, handler, known, err)
		}
	}
}

func TestIdentityIsThatOfTheDeclarationOrOfTheImage(t *testing.T) {
	for _, c := range []struct {
		image, declared string
		uid, gid        int
	}{
		{"", "", 0, 0},
		{"root:root", "", 0, 0},
		{"8:9", "", 8, 9},
		{"8:9", "10:11", 10, 11},
		{"app", "", 7, 77},
		{"", "12", 7, 77}, // its group is the image's business
	} {
		b := New(Config{Engine: fixedEngine{c.image}, Account: func(context.Context, *v1.Pod, *v1.Container, string, string) (*user.ExecUser, error) {
			return &user.ExecUser{Uid: 7, Gid: 77}, nil
		}})
		if uid, gid, err := b.Identity(t.Context(), testPod(), &v1.Container{}, c.declared); uid != c.uid || gid != c.gid || err != nil {
			t.Errorf("%q in an image of %q is %d:%d, %v", c.declared, c.image, uid, gid, err)
		}
	}
}
