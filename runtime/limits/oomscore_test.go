package limits

import (
	"log/slog"
	"os"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
)

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
	free := &OOMScores{log: slog.New(slog.DiscardHandler)}
	free.floor.Store(minOOMScore)
	if got := free.AtLeast(-997); got != -997 {
		t.Errorf("on a host that allows it: %d", got)
	}
	if !free.Deny() || free.Deny() {
		t.Error("it is not told once")
	}
	if low, high := free.AtLeast(-997), free.AtLeast(1000); low != 0 || high != 1000 {
		t.Errorf("once refused: %d and %d", low, high)
	}
	if !hasCapability([]byte("CapEff:\t000001ffffffffff\n"), 24) || hasCapability([]byte("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t000001fffeffffff\n"), 24) {
		t.Error("the effective capabilities are misread")
	}
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
		if err := KillTogether(groups, pods.Instance{Container: c.i}); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got, _ := os.ReadFile(file); string(got) != c.want {
			t.Errorf("%s: %s", c.what, got)
		}
	}
}
