package runtime

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// amounts is a list of resources from name, amount, name, amount …
func amounts(text ...string) v1.ResourceList {
	out := v1.ResourceList{}
	for n := 0; n < len(text); n += 2 {
		out[v1.ResourceName(text[n])] = resource.MustParse(text[n+1])
	}
	return out
}

func TestRequestsBecomeSharesAndLimitsBounds(t *testing.T) {
	for _, c := range []struct {
		what                  string
		requests, limits, pod v1.ResourceList
		want                  docker.Resources
	}{
		{"nothing", nil, nil, nil, docker.Resources{CPUShares: 2}},
		{"requests only", amounts("cpu", "500m", "memory", "64Mi"), nil, nil, docker.Resources{CPUShares: 512}},
		{"a limit is a request too", nil, amounts("cpu", "2", "memory", "64Mi"), nil, docker.Resources{CPUShares: 2048, CPUQuota: 200_000, CPUPeriod: 100_000, Memory: 64 << 20}},
		{"both", amounts("cpu", "250m"), amounts("cpu", "1500m"), nil, docker.Resources{CPUShares: 256, CPUQuota: 150_000, CPUPeriod: 100_000}},
		{"a request for none", amounts("cpu", "0"), amounts("cpu", "1"), nil, docker.Resources{CPUShares: 2, CPUQuota: 100_000, CPUPeriod: 100_000}},
		{"less than the kernel knows", amounts("cpu", "1m"), amounts("cpu", "1m"), nil, docker.Resources{CPUShares: 2, CPUQuota: 1000, CPUPeriod: 100_000}},
		{"more than the kernel knows", amounts("cpu", "1000"), nil, nil, docker.Resources{CPUShares: 262_144}},
		{"the Pod's limits where it has none", amounts("cpu", "1"), amounts("memory", "1Mi"), amounts("cpu", "2", "memory", "2Mi"), docker.Resources{CPUShares: 1024, CPUQuota: 200_000, CPUPeriod: 100_000, Memory: 1 << 20}},
	} {
		container := v1.Container{Resources: v1.ResourceRequirements{Requests: c.requests, Limits: c.limits}}
		pod := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{container}}}
		if c.pod != nil {
			pod.Spec.Resources = &v1.ResourceRequirements{Limits: c.pod}
		}
		if got := resourcesOf(pod, &container); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

func TestWhatIsInForceReadsAsItWasDeclared(t *testing.T) {
	for _, text := range []string{"3m", "10m", "100m", "250m", "333m", "1", "1500m", "7"} {
		c := v1.Container{Resources: v1.ResourceRequirements{Requests: amounts("cpu", text), Limits: amounts("cpu", text)}}
		r := resourcesOf(&v1.Pod{}, &c)
		limit, request := cpuLimit(r), cpuRequest(r)
		want := resource.MustParse(text)
		if request.Cmp(want) != 0 || limit.Cmp(want) != 0 && want.MilliValue() >= 10 {
			t.Errorf("%s: request %s, limit %s", text, request.String(), limit.String())
		}
	}
	if none := cpuLimit(docker.Resources{CPUShares: 2}); !none.IsZero() {
		t.Errorf("no limit reads as %s", none.String())
	}
}

func TestOOMScoresAreAKubelets(t *testing.T) {
	always := v1.ContainerRestartPolicyAlways
	with := func(requests, limits v1.ResourceList) v1.Container {
		return v1.Container{Resources: v1.ResourceRequirements{Requests: requests, Limits: limits}}
	}
	sidecar := with(amounts("memory", "1Gi"), nil)
	sidecar.Name, sidecar.RestartPolicy = "sidecar", &always
	one := func(c v1.Container) v1.PodSpec { return v1.PodSpec{Containers: []v1.Container{c}} }
	critical := one(with(nil, nil))
	critical.PriorityClassName = "system-node-critical"
	shared := one(with(amounts("memory", "1Gi"), nil))
	shared.Containers = append(shared.Containers, with(amounts("memory", "1Gi"), nil))
	shared.Resources = &v1.ResourceRequirements{Requests: amounts("memory", "4Gi")}
	for _, c := range []struct {
		what string
		spec v1.PodSpec
		want int
	}{
		{"best effort", one(with(nil, nil)), 1000},
		{"guaranteed", one(with(amounts("cpu", "1", "memory", "1Gi"), amounts("cpu", "1", "memory", "1Gi"))), -997},
		{"node critical", critical, -997},
		{"a tenth of the machine", one(with(amounts("memory", "1Gi"), nil)), 900},
		{"burstable by its CPU alone", one(with(amounts("cpu", "1"), nil)), 999},
		{"all of the machine", one(with(amounts("memory", "10Gi"), nil)), 3},
		{"a sidecar goes no sooner than the main one", v1.PodSpec{
			InitContainers: []v1.Container{sidecar}, Containers: []v1.Container{with(amounts("memory", "2Gi"), nil)},
		}, 800},
		{"a share of what the Pod asks for", shared, 800},
	} {
		container := &c.spec.Containers[0]
		if len(c.spec.InitContainers) > 0 {
			container = &c.spec.InitContainers[0]
		}
		if got := oomScore(&v1.Pod{Spec: c.spec}, container, 10<<30); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func TestOOMScoresGoNoLowerThanTheHostAllows(t *testing.T) {
	free := &oomScores{log: slog.New(slog.DiscardHandler)}
	free.floor.Store(minOOMScore)
	if got := free.atLeast(-997); got != -997 {
		t.Errorf("on a host that allows it: %d", got)
	}
	if !free.deny() || free.deny() {
		t.Error("it is not told once")
	}
	if low, high := free.atLeast(-997), free.atLeast(1000); low != 0 || high != 1000 {
		t.Errorf("once refused: %d and %d", low, high)
	}
	if !hasCapability([]byte("CapEff:\t000001ffffffffff\n"), 24) || hasCapability([]byte("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t000001fffeffffff\n"), 24) {
		t.Error("the effective capabilities are misread")
	}
}

func TestOOMKilledIsToldHoweverLateDockerLearnsOfIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("hungry", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })
		r.engine.outOfMemory("k8s_app_hungry_ns_uid-hungry_0")
		r.settle()
		r.wantState("hungry", "app", "OOMKilled 0")
		r.pod("killed", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })
		r.engine.exit("k8s_app_killed_ns_uid-killed_0", 137)
		r.settle()
		r.wantState("killed", "app", "Error 0")
	})
}

// groupFile makes a file of a pretended kernel.
func groupFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContainerThatRunsOutOfMemoryEndsAsAWhole(t *testing.T) {
	groups := usage.Cgroups{Proc: t.TempDir(), Root: t.TempDir()}
	groupFile(t, groups.Proc, "7/cgroup", "0::/docker/abc\n")
	groupFile(t, groups.Proc, "8/cgroup", "3:memory:/docker/abc\n0::/\n")
	file := groupFile(t, groups.Root, "docker/abc/memory.oom.group", "0")
	for _, c := range []struct {
		what string
		i    docker.Container
		want string
	}{
		{"version 1", docker.Container{ID: "abc", PID: 8}, "0"},
		{"another's process", docker.Container{ID: "def", PID: 7}, "0"},
		{"one that ended", docker.Container{ID: "abc", PID: 9}, "0"},
		{"version 2", docker.Container{ID: "abc", PID: 7}, "1"},
	} {
		if err := killTogether(groups, pods.Instance{Container: c.i}); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got, _ := os.ReadFile(file); string(got) != c.want {
			t.Errorf("%s: %s", c.what, got)
		}
	}
}

func TestContainersHaveTheHugePagesThatTheyDeclare(t *testing.T) {
	for version, files := range map[string][3]string{
		"1": {"3:hugetlb:/docker/abc\n0::/\n", "hugetlb/docker/abc/hugetlb.2MB.limit_in_bytes", "hugetlb/docker/abc/hugetlb.1GB.limit_in_bytes"},
		"2": {"0::/docker/abc\n", "docker/abc/hugetlb.2MB.max", "docker/abc/hugetlb.1GB.max"},
	} {
		groups := usage.Cgroups{Proc: t.TempDir(), Root: t.TempDir()}
		groupFile(t, groups.Proc, "7/cgroup", files[0])
		small, large := groupFile(t, groups.Root, files[1], "max"), groupFile(t, groups.Root, files[2], "max")
		known := amounts("hugepages-2Mi", "0", "hugepages-1Gi", "4Gi", "hugepages-64Ki", "0") // the kernel has no file for the last
		c := app("one")
		c.Resources.Limits = amounts("hugepages-2Mi", "6Mi")
		if err := limitHugePages(groups, known, &v1.Pod{}, &c, pods.Instance{Container: docker.Container{ID: "abc", PID: 7}}); err != nil {
			t.Errorf("version %s: %v", version, err)
		}
		for file, want := range map[string]string{small: "6291456", large: "0"} {
			if got, _ := os.ReadFile(file); string(got) != want {
				t.Errorf("version %s: %s has %s, want %s", version, filepath.Base(file), got, want)
			}
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(small), strings.Replace(filepath.Base(small), "2MB", "64KB", 1))); !os.IsNotExist(err) {
			t.Errorf("version %s: a file was made that the kernel does not have: %v", version, err)
		}
	}
}
