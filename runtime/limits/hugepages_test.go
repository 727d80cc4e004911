package limits

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
)

func TestContainersHaveTheHugePagesThatTheyDeclare(t *testing.T) {
	for version, files := range map[string][3]string{
		"1": {"3:hugetlb:/docker/abc\n0::/\n", "hugetlb/docker/abc/hugetlb.2MB.limit_in_bytes", "hugetlb/docker/abc/hugetlb.1GB.limit_in_bytes"},
		"2": {"0::/docker/abc\n", "docker/abc/hugetlb.2MB.max", "docker/abc/hugetlb.1GB.max"},
	} {
		groups := usage.Cgroups{Proc: t.TempDir(), Root: t.TempDir()}
		groupFile(t, groups.Proc, "7/cgroup", files[0])
		small, large := groupFile(t, groups.Root, files[1], "max"), groupFile(t, groups.Root, files[2], "max")
		known := amounts("hugepages-2Mi", "0", "hugepages-1Gi", "4Gi", "hugepages-64Ki", "0") // the kernel has no file for the last
		c := v1.Container{Name: "one"}
		c.Resources.Limits = amounts("hugepages-2Mi", "6Mi")
		if err := LimitHugePages(groups, known, &v1.Pod{}, &c, pods.Instance{Container: docker.Container{ID: "abc", PID: 7}}); err != nil {
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
