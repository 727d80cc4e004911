package limits

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
)

func TestPodIsBoundedByWhatItDeclaresOrElseItsContainersDo(t *testing.T) {
	with := func(requests, limits v1.ResourceList) v1.Container {
		return v1.Container{Resources: v1.ResourceRequirements{Requests: requests, Limits: limits}}
	}
	for _, c := range []struct {
		what             string
		requests, limits v1.ResourceList
		containers       []v1.Container
		want             docker.Resources
	}{
		{"all of it", amounts("cpu", "500m", "memory", "1Mi"), amounts("cpu", "1", "memory", "2Mi"), []v1.Container{with(nil, nil)},
			docker.Resources{CPUShares: 512, CPUQuota: 100_000, CPUPeriod: 100_000, Memory: 2 << 20}},
		{"more than its containers", nil, amounts("memory", "8Mi"), []v1.Container{with(amounts("cpu", "100m"), amounts("memory", "1Mi")), with(amounts("cpu", "150m"), nil)},
			docker.Resources{CPUShares: 256, Memory: 8 << 20}},
		{"a request alone", amounts("cpu", "2"), nil, []v1.Container{with(nil, amounts("memory", "1Mi")), with(nil, nil)}, docker.Resources{CPUShares: 2048}},
		{"the rest by its containers", amounts("cpu", "1"), nil, []v1.Container{with(nil, amounts("memory", "1Mi", "cpu", "500m")), with(nil, amounts("memory", "2Mi", "cpu", "250m"))},
			docker.Resources{CPUShares: 1024, CPUQuota: 75_000, CPUPeriod: 100_000, Memory: 3 << 20}},
	} {
		pod := &v1.Pod{Spec: v1.PodSpec{Containers: c.containers, Resources: &v1.ResourceRequirements{Requests: c.requests, Limits: c.limits}}}
		if got := OfPod(pod); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

func TestBoundsAreWrittenAsEachKernelWantsThem(t *testing.T) {
	none, some, more := docker.Resources{CPUShares: 2}, docker.Resources{CPUShares: 1024, CPUQuota: 50_000, CPUPeriod: 100_000, Memory: 1000}, docker.Resources{CPUShares: 262_144, CPUQuota: 75_000, CPUPeriod: 100_000, Memory: 2000}
	for _, c := range []struct {
		what       string
		have, want docker.Resources
		unified    bool
		text       string
	}{
		{"nothing", none, none, false, "cpu.shares=2 cpu.cfs_period_us=100000 cpu.cfs_quota_us=-1 memory.limit_in_bytes=-1 memory.memsw.limit_in_bytes=-1"},
		{"the first bounds", none, some, false, "cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000 memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1000"},
		{"more", some, more, false, "cpu.shares=262144 cpu.cfs_period_us=100000 cpu.cfs_quota_us=75000 memory.memsw.limit_in_bytes=2000 memory.limit_in_bytes=2000"},
		{"less", more, some, false, "cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000 memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1000"},
		{"none any more", some, none, false, "cpu.shares=2 cpu.cfs_period_us=100000 cpu.cfs_quota_us=-1 memory.memsw.limit_in_bytes=-1 memory.limit_in_bytes=-1"},
		{"nothing, version 2", none, none, true, "cpu.weight=1 cpu.max=max 100000 memory.max=max memory.swap.max=max"},
		{"bounds, version 2", none, more, true, "cpu.weight=10000 cpu.max=75000 100000 memory.max=2000 memory.swap.max=0"},
	} {
		var got []string
		for _, control := range append(cpuControls(c.want, c.unified), memoryControls(c.have, c.want, c.unified)...) {
			got = append(got, control.file+"="+control.value)
		}
		if text := strings.Join(got, " "); text != c.text {
			t.Errorf("%s:\n\t%s, want\n\t%s", c.what, text, c.text)
		}
	}
}

func TestGroupIsRemovedFromEveryHierarchy(t *testing.T) {
	groups := usage.Cgroups{Root: t.TempDir()}
	var others []string
	for _, dir := range []string{"memory/kube-lite-a/poduid/abc", "cpu/kube-lite-a/poduid", "kube-lite-a/poduid", "memory/kube-lite-a/podother", "memory/kube-lite-ab/poduid"} {
		if err := os.MkdirAll(filepath.Join(groups.Root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveGroups(groups, PodPath("a", "uid")); err != nil {
		t.Error(err)
	}
	for _, pattern := range []string{"kube-lite-*/*", "*/kube-lite-*/*"} {
		found, _ := filepath.Glob(filepath.Join(groups.Root, pattern))
		for _, path := range found {
			others = append(others, strings.TrimPrefix(path, groups.Root))
		}
	}
	if want := []string{"/memory/kube-lite-a/podother", "/memory/kube-lite-ab/poduid"}; !slices.Equal(others, want) {
		t.Errorf("left are %v, want %v", others, want)
	}
	if err := RemoveGroups(groups, InstancePath("a")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(groups.Root, "memory/kube-lite-a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the instance's is left: %v", err)
	}
}
