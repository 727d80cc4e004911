package limits

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// scratch is a directory of the Pod with a limit; empty: none.
func scratch(name, limit string) v1.Volume {
	v := v1.Volume{Name: name, VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}
	if limit != "" {
		size := resource.MustParse(limit)
		v.EmptyDir.SizeLimit = &size
	}
	return v
}

func TestExceededLimitsAreNamedInAKubeletsWords(t *testing.T) {
	limited := func(name, limit string) v1.Container {
		c := v1.Container{Name: name}
		c.Resources.Limits = amounts("ephemeral-storage", limit)
		return c
	}
	memory := scratch("memory", "1Ki")
	memory.EmptyDir.Medium = v1.StorageMediumMemory
	for _, c := range []struct {
		what string
		spec v1.PodSpec
		use  diskUse
		want string
	}{
		{"no limits", v1.PodSpec{Containers: []v1.Container{v1.Container{Name: "a"}}, Volumes: []v1.Volume{scratch("v", "")}}, diskUse{volumes: map[string]int64{"v": 1 << 40}}, ""},
		{"just full", v1.PodSpec{Volumes: []v1.Volume{scratch("v", "1Gi")}}, diskUse{volumes: map[string]int64{"v": 1 << 30}}, ""},
		{"a directory", v1.PodSpec{Volumes: []v1.Volume{scratch("v", "1Gi")}}, diskUse{volumes: map[string]int64{"v": 1<<30 + 1}}, `Usage of EmptyDir volume "v" exceeds the limit "1Gi". `},
		{"a directory in memory", v1.PodSpec{Volumes: []v1.Volume{memory}}, diskUse{volumes: map[string]int64{"memory": 4096}}, ""},
		{
			"a container", v1.PodSpec{Containers: []v1.Container{limited("a", "1Mi"), limited("b", "9Mi")}},
			diskUse{containers: map[string]int64{"a": 2 << 20}}, `Container a exceeded its local ephemeral storage limit "1Mi". `,
		},
		{
			"all together", v1.PodSpec{Containers: []v1.Container{limited("a", "1Mi"), limited("b", "1Mi")}},
			diskUse{containers: map[string]int64{"a": 1 << 20, "b": 1 << 20}, volumes: map[string]int64{"v": 1}},
			"Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ",
		},
	} {
		if got := c.use.exceeds(&v1.Pod{Spec: c.spec}); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}
