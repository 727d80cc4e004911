package runtime

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// hugePagesDir has a directory for each size of huge pages that the kernel knows.
const hugePagesDir = "/sys/kernel/mm/hugepages"

// readHugePages is the amount of each size that the host set aside, by resource name, such
// as hugepages-2Mi: none, as a rule.
// https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/
func readHugePages(dir string) v1.ResourceList {
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
