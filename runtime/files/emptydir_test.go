package files

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestMemoryVolumeIsNoLargerThanThePodOrTheNode(t *testing.T) {
	bounded := app("a")
	bounded.Resources.Limits = amounts("memory", "64Mi")
	for _, c := range []struct {
		what       string
		containers []v1.Container
		limit      string
		want       int64
	}{
		{"the node's", []v1.Container{app("a")}, "", 1 << 30},
		{"the Pod's", []v1.Container{bounded, bounded}, "", 128 << 20},
		{"the node's while a container has no limit", []v1.Container{bounded, app("b")}, "", 1 << 30},
		{"its own", []v1.Container{bounded}, "1Mi", 1 << 20},
		{"the Pod's before its own", []v1.Container{bounded}, "1Gi", 64 << 20},
		{"the node's before its own", []v1.Container{app("a")}, "2Gi", 1 << 30},
	} {
		v := scratch("v", c.limit)
		pod := &v1.Pod{Spec: v1.PodSpec{Containers: c.containers}}
		if got := memorySize(pod, v.EmptyDir, resource.MustParse("1Gi")); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func TestHugePagesMustBeAskedFor(t *testing.T) {
	asks := func(requests v1.ResourceList) *v1.Pod {
		c := v1.Container{Name: "app", Resources: v1.ResourceRequirements{Requests: requests}}
		return &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{c}}}
	}
	both := asks(amounts("hugepages-2Mi", "4Mi", "hugepages-1Gi", "1Gi"))
	for _, c := range []struct {
		what   string
		pod    *v1.Pod
		medium v1.StorageMedium
		want   string
		fails  string
	}{
		{"one size", asks(amounts("hugepages-2Mi", "4Mi")), "HugePages", "2Mi", ""},
		{"a named size", both, "HugePages-1Gi", "1Gi", ""},
		{"two sizes", both, "HugePages", "0", "medium: HugePages can't be used if container requests multiple huge page sizes"},
		{"none", asks(nil), "HugePages", "0", "medium HugePages: hugePages storage requested, but there is no resource request for huge pages"},
		{"another size", asks(amounts("hugepages-2Mi", "4Mi")), "HugePages-1Gi", "0", "medium HugePages-1Gi: hugePages storage requested, but there is no resource request for huge pages"},
	} {
		size, err := hugePageSize(c.pod, c.medium)
		if size.String() != c.want || err == nil && c.fails != "" || err != nil && err.Error() != c.fails {
			t.Errorf("%s: %s, %v", c.what, size.String(), err)
		}
	}
}
