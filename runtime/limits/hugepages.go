package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// HugePagesDir has a directory for each size of huge pages that the kernel knows.
const HugePagesDir = "/sys/kernel/mm/hugepages"

// ReadHugePages is the amount of each size that the host set aside, by resource name, such
// as hugepages-2Mi: none, as a rule.
// https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/
func ReadHugePages(dir string) v1.ResourceList {
	out := v1.ResourceList{}
	sizes, _ := os.ReadDir(dir) // a kernel without has no such directory
	for _, d := range sizes {
		text, ok := strings.CutSuffix(strings.TrimPrefix(d.Name(), "hugepages-"), "kB")
		size, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil {
			continue
		}
		content, _ := os.ReadFile(filepath.Join(dir, d.Name(), "nr_hugepages"))
		pages, _ := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
		name := v1.ResourceHugePagesPrefix + resource.NewQuantity(size<<10, resource.BinarySI).String()
		out[v1.ResourceName(name)] = *resource.NewQuantity(pages*size<<10, resource.BinarySI)
	}
	return out
}

// LimitHugePages lets a running container have the huge pages that it declares and no
// others, of every size that the host knows. Docker has no such bound, so it is written to
// the container's cgroup, where the kernel has that controller.
// https://www.kernel.org/doc/html/latest/admin-guide/cgroup-v1/hugetlb.html
func LimitHugePages(groups usage.Cgroups, known v1.ResourceList, pod *v1.Pod, c *v1.Container, i pods.Instance) (err error) {
	dir, unified, found := groups.Dir(i.PID, "hugetlb")
	if found != nil || !strings.Contains(dir, i.ID) { // the process may have ended, and its ID be another's
		return nil
	}
	return setHugePages(dir, unified, known, func(name v1.ResourceName) resource.Quantity { return pods.Limit(pod, c, name) })
}

// setHugePages writes the bounds of every size to a cgroup.
func setHugePages(dir string, unified bool, known v1.ResourceList, limitOf func(v1.ResourceName) resource.Quantity) (err error) {
	file := "limit_in_bytes"
	if unified {
		file = "max"
	}
	for name := range known {
		size, bad := resource.ParseQuantity(strings.TrimPrefix(string(name), v1.ResourceHugePagesPrefix))
		limit := limitOf(name)
		control := filepath.Join(dir, "hugetlb."+kernelSize(size.Value())+"."+file)
		err = errors.Join(err, bad, setControl(control, strconv.FormatInt(limit.Value(), 10)))
	}
	return err
}

// kernelSize is a size of huge pages as the kernel names it, such as 2MB.
func kernelSize(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%dGB", bytes>>30)
	case bytes >= 1<<20:
		return fmt.Sprintf("%dMB", bytes>>20)
	}
	return fmt.Sprintf("%dKB", bytes>>10)
}
