package runtime

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/spec"
	v1 "k8s.io/api/core/v1"
)

// job declares a Pod whose only container acts as told, and runs once.
func (r *dockerRig) job(name string, change func(*v1.PodSpec, *v1.Container), acts ...string) {
	r.t.Helper()
	r.declare(name, func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyNever
		c := r.container("one", acts...)
		change(&p.Spec, &c)
		p.Spec.Containers = append(p.Spec.Containers, c)
	})
}

// statusLine is an act: the process's status has that line, as proc(5) shows it.
func statusLine(field, value string) string { return "file=/proc/self/status=" + field + ":\t" + value }

func TestSecurityContextHoldsOnDocker(t *testing.T) {
	r := newDockerRig(t)
	profile := filepath.Join(r.opts.Root, spec.SeccompDir, "nodirs.json")
	if err := os.MkdirAll(filepath.Dir(profile), 0o755); err != nil {
		t.Fatal(err)
	}
	text := `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}`
	if err := os.WriteFile(profile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	yes, no, nodirs := true, false, "nodirs.json"
	for _, c := range []struct {
		name   string
		change func(*v1.PodSpec, *v1.Container)
		acts   []string
	}{
		{"users", func(s *v1.PodSpec, c *v1.Container) {
			uid, gid, fs := int64(1234), int64(5678), int64(77)
			s.SecurityContext = &v1.PodSecurityContext{RunAsUser: &uid, RunAsGroup: &gid, FSGroup: &fs, SupplementalGroups: []int64{42}}
			s.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
			c.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
		}, []string{"user=1234:5678", statusLine("Groups", "42 77"), "write=/v/x=1", "mode=/v=2777:77", "mode=/v/x=0644:77"}},
		{"image-groups", func(s *v1.PodSpec, _ *v1.Container) {
			uid := int64(4001)
			s.SecurityContext = &v1.PodSecurityContext{RunAsUser: &uid, SupplementalGroups: []int64{60000}}
		}, []string{"user=4001:4001", statusLine("Groups", "4001 50000 60000 ")}},
		{"image-groups-beside-a-group", func(s *v1.PodSpec, _ *v1.Container) {
			uid, gid := int64(4001), int64(5000)
			s.SecurityContext = &v1.PodSecurityContext{RunAsUser: &uid, RunAsGroup: &gid, SupplementalGroups: []int64{60000}}
		}, []string{"user=4001:5000", statusLine("Groups", "5000 50000 60000 ")}},
		{"no-image-groups", func(s *v1.PodSpec, _ *v1.Container) {
			uid, strict := int64(4001), v1.SupplementalGroupsPolicyStrict
			s.SecurityContext = &v1.PodSecurityContext{RunAsUser: &uid, SupplementalGroups: []int64{60000}, SupplementalGroupsPolicy: &strict}
		}, []string{"user=4001:4001", statusLine("Groups", "4001 60000 ")}},
		{"group-only", func(s *v1.PodSpec, _ *v1.Container) {
			gid := int64(5678)
			s.SecurityContext = &v1.PodSecurityContext{RunAsGroup: &gid}
		}, []string{"user=0:5678"}},
		{"capabilities", func(_ *v1.PodSpec, c *v1.Container) {
			c.SecurityContext = &v1.SecurityContext{Capabilities: &v1.Capabilities{Drop: []v1.Capability{"ALL"}, Add: []v1.Capability{"NET_BIND_SERVICE"}}}
		}, []string{statusLine("CapEff", "0000000000000400"), statusLine("NoNewPrivs", "0")}},
		{"no-more-privileges", func(_ *v1.PodSpec, c *v1.Container) {
			c.SecurityContext = &v1.SecurityContext{AllowPrivilegeEscalation: &no}
		}, []string{statusLine("NoNewPrivs", "1")}},
		{"read-only", func(_ *v1.PodSpec, c *v1.Container) {
			c.SecurityContext = &v1.SecurityContext{ReadOnlyRootFilesystem: &yes}
		}, []string{"denied=/x"}},
		{"unconfined", func(*v1.PodSpec, *v1.Container) {}, []string{statusLine("Seccomp", "0")}},
		{"runtime-default", func(s *v1.PodSpec, _ *v1.Container) {
			s.SecurityContext = &v1.PodSecurityContext{SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeRuntimeDefault}}
		}, []string{statusLine("Seccomp", "2")}},
		{"localhost", func(s *v1.PodSpec, _ *v1.Container) {
			s.SecurityContext = &v1.PodSecurityContext{SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeLocalhost, LocalhostProfile: &nodirs}}
		}, []string{statusLine("Seccomp", "2"), "nodir=/x"}},
		{"masked", func(*v1.PodSpec, *v1.Container) {}, []string{"file=/proc/self/mountinfo= /proc/sys "}},
		{"unmasked", func(_ *v1.PodSpec, c *v1.Container) {
			unmasked := v1.UnmaskedProcMount
			c.SecurityContext = &v1.SecurityContext{ProcMount: &unmasked}
		}, []string{"lacks=/proc/self/mountinfo= /proc/sys "}},
		{"sysctl", func(s *v1.PodSpec, _ *v1.Container) {
			s.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "net/ipv4/ip_unprivileged_port_start", Value: "81"}}}
		}, []string{"file=/proc/sys/net/ipv4/ip_unprivileged_port_start=81"}},
		{"selinux", func(s *v1.PodSpec, _ *v1.Container) {
			s.SecurityContext = &v1.PodSecurityContext{SELinuxOptions: &v1.SELinuxOptions{Level: "s0:c123,c456"}}
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.job(c.name, c.change, c.acts...)
			r.finished(c.name)
		})
	}
	t.Run("an image that runs as root where that must not be", func(t *testing.T) {
		r.job("rooted", func(s *v1.PodSpec, _ *v1.Container) { s.SecurityContext = &v1.PodSecurityContext{RunAsNonRoot: &yes} })
		r.eventually("rooted", "Failed: Error: container has runAsNonRoot and image will run as root")
	})
	t.Run("its status tells who a container runs as", func(t *testing.T) {
		uid, strict := int64(4001), v1.SupplementalGroupsPolicyStrict
		r.declare("told", func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: &uid, SupplementalGroups: []int64{60000}, SupplementalGroupsPolicy: &strict}
			p.Spec.Containers = []v1.Container{r.container("one", "sleep")}
		})
		want := v1.LinuxContainerUser{UID: 4001, GID: 4001, SupplementalGroups: []int64{4001, 60000}}
		if got := r.await("told", "ready", ready).Status.ContainerStatuses[0].User; got == nil || !reflect.DeepEqual(*got.Linux, want) {
			t.Errorf("it is %+v, want %+v", got, want)
		}
	})
	t.Run("privileged", func(t *testing.T) {
		r.job("privileged", func(_ *v1.PodSpec, c *v1.Container) { c.SecurityContext = &v1.SecurityContext{Privileged: &yes} },
			statusLine("Seccomp", "0"), "lacks=/proc/self/mountinfo= /proc/sys ")
		pod := r.await("privileged", "finished", func(p *v1.Pod) bool { return pods.IsFinal(p.Status.Phase) })
		ended := pod.Status.ContainerStatuses[0].State.Terminated
		if ended.ExitCode != 0 && strings.Contains(ended.Message, "unable to apply caps") {
			t.Skip("Docker itself does not have all capabilities here")
		}
		if ended.ExitCode != 0 {
			t.Errorf("ended with %+v", ended)
		}
	})
	t.Run("a runtime that Docker has", func(t *testing.T) {
		runc := "runc"
		r.job("runc", func(s *v1.PodSpec, _ *v1.Container) { s.RuntimeClassName = &runc })
		r.finished("runc")
	})
}

// ownNamespace is where a link of this process, which is the host's, leads.
func ownNamespace(t *testing.T, name string) string {
	t.Helper()
	link, err := os.Readlink("/proc/1/ns/" + name)
	if err != nil {
		t.Skipf("the host's namespaces cannot be told: %v", err)
	}
	return "link=/proc/self/ns/" + name + "=" + link
}

func TestNamespacesAndNamesHoldOnDocker(t *testing.T) {
	r := newDockerRig(t)
	yes := true
	for _, c := range []struct {
		name   string
		change func(*v1.PodSpec, *v1.Container)
		acts   []string
	}{
		{"host-network", func(s *v1.PodSpec, _ *v1.Container) { s.HostNetwork = true }, []string{ownNamespace(t, "net"), ownNamespace(t, "uts")}},
		{"host-pid", func(s *v1.PodSpec, _ *v1.Container) { s.HostPID = true }, []string{ownNamespace(t, "pid")}},
		{"host-ipc", func(s *v1.PodSpec, _ *v1.Container) { s.HostIPC = true }, []string{ownNamespace(t, "ipc")}},
		{"shared", func(s *v1.PodSpec, _ *v1.Container) { s.ShareProcessNamespace = &yes }, []string{"file=/proc/1/cmdline=pause"}},
		{"alone", func(*v1.PodSpec, *v1.Container) {}, []string{"file=/proc/1/cmdline=/actor"}},
		{"whole-name", func(s *v1.PodSpec, _ *v1.Container) {
			s.Hostname, s.Subdomain, s.SetHostnameAsFQDN = "me", "peers", &yes
		},
			[]string{"host=me.peers.default.svc.cluster.local", "file=/etc/hosts=me.peers.default.svc.cluster.local\tme"}},
		{"short-name", func(s *v1.PodSpec, _ *v1.Container) { s.Hostname, s.Subdomain = "me", "peers" }, []string{"host=me"}},
		{"aliases", func(s *v1.PodSpec, _ *v1.Container) {
			s.HostAliases = []v1.HostAlias{{IP: "192.0.2.1", Hostnames: []string{"one", "two"}}}
		}, []string{"file=/etc/hosts=192.0.2.1\tone\ttwo"}},
		{"own-dns", func(s *v1.PodSpec, _ *v1.Container) {
			s.DNSPolicy, s.DNSConfig = v1.DNSNone, &v1.PodDNSConfig{Nameservers: []string{"192.0.2.53"}, Searches: []string{"example.org"}}
		}, []string{"file=/etc/resolv.conf=nameserver 192.0.2.53\nsearch example.org\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.job(c.name, c.change, c.acts...)
			r.finished(c.name)
		})
	}
}
