package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

// Group is the control group of a Pod: the directories where the kernel keeps its bounds. FindGroup finds it.
// https://www.kernel.org/doc/html/latest/admin-guide/cgroup-v2.html and
// https://www.kernel.org/doc/html/latest/admin-guide/cgroup-v1/
type Group struct{ cpu, memory, hugetlb controller }

// controller is the directory of one, empty if the kernel has none; unified tells that it is
// one of version 2.
type controller struct {
	dir     string
	unified bool
}

// control is one file and what is written to it.
type control struct{ file, value string }

// noBound is what the kernel calls the absence of one, in version 1 and 2.
const (
	noBound        = "-1"
	noBoundUnified = "max"
)

// unbounded is the least number that stands for no bound where version 1 shows one: it
// counts pages, of 4 KiB or more, in a signed number.
const unbounded = 1 << 62

// Apply writes a Pod's bounds to its group and returns what it wrote. With widen it only takes away what is narrower: the
// containers of a Pod that is resized may still need the rest. HugePages has the sizes that the host knows.
func (g Group) Apply(pod *v1.Pod, widen bool, hugePages v1.ResourceList) (written docker.Resources, err error) {
	have, next := g.Bounds(), OfPod(pod)
	if widen {
		next = widest(have, next)
	} else if err := g.roomFor(have, next); err != nil {
		return written, err
	}
	if err := g.write(have, next); err != nil {
		return written, fmt.Errorf("bound the pod's control group: %w", err)
	}
	all := pods.Limits(pod)
	if err := g.hugePages(hugePages, func(name v1.ResourceName) resource.Quantity { return all[name] }); err != nil {
		return written, fmt.Errorf("bound the huge pages of the pod's control group: %w", err)
	}
	return next, nil
}

// Lacks tells whether a bound that was written is not in force, since the kernel has no such control, and where.
func (g Group) Lacks(written docker.Resources) (dir string, lacks bool) {
	got := g.Bounds()
	return g.memory.dir, written.Memory > 0 && got.Memory == 0 || written.CPUQuota > 0 && got.CPUQuota == 0
}

// write brings a group from the bounds that it has to others. What the kernel has no file
// for is left out.
func (g Group) write(have, want docker.Resources) (err error) {
	for _, c := range cpuControls(want, g.cpu.unified) {
		err = errors.Join(err, g.cpu.set(c))
	}
	for _, c := range memoryControls(have, want, g.memory.unified) {
		err = errors.Join(err, g.memory.set(c))
	}
	return err
}

func (g Group) hugePages(known v1.ResourceList, limitOf func(v1.ResourceName) resource.Quantity) error {
	if g.hugetlb.dir == "" {
		return nil
	}
	return setHugePages(g.hugetlb.dir, g.hugetlb.unified, known, limitOf)
}

func cpuControls(r docker.Resources, unified bool) []control {
	quota, period := noBound, strconv.Itoa(cpuPeriod)
	if unified {
		quota = noBoundUnified
	}
	if r.CPUQuota > 0 {
		quota, period = strconv.FormatInt(r.CPUQuota, 10), strconv.FormatInt(r.CPUPeriod, 10)
	}
	if unified {
		return []control{{"cpu.weight", strconv.FormatInt(weight(r.CPUShares), 10)}, {"cpu.max", quota + " " + period}}
	}
	return []control{{"cpu.shares", strconv.FormatInt(r.CPUShares, 10)}, {"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}}
}

// weight is to version 2 what shares are to version 1: 1 to 10,000 for 2 to 262,144.
func weight(shares int64) int64 { return 1 + (shares-MinShares)*9999/(maxShares-MinShares) }

// memoryControls allow no swap beyond the memory, as for containers. In version 1 the bound
// of both together must never be less than that of memory, so it moves first or last.
func memoryControls(have, want docker.Resources, unified bool) []control {
	limit := strconv.FormatInt(want.Memory, 10)
	switch {
	case unified && want.Memory == 0:
		return []control{{"memory.max", noBoundUnified}, {"memory.swap.max", noBoundUnified}}
	case unified:
		return []control{{"memory.max", limit}, {"memory.swap.max", "0"}}
	case want.Memory == 0:
		limit = noBound
	}
	memory, withSwap := control{"memory.limit_in_bytes", limit}, control{"memory.memsw.limit_in_bytes", limit}
	if widest(have, want).Memory == have.Memory {
		return []control{memory, withSwap}
	}
	return []control{withSwap, memory}
}

// Bounds are those in force, shares aside; what cannot be read is none.
func (g Group) Bounds() (r docker.Resources) {
	if g.cpu.unified {
		quota, period, _ := strings.Cut(g.cpu.read("cpu.max"), " ")
		r.CPUQuota, r.CPUPeriod = boundOf(quota), boundOf(period)
	} else {
		r.CPUQuota, r.CPUPeriod = boundOf(g.cpu.read("cpu.cfs_quota_us")), boundOf(g.cpu.read("cpu.cfs_period_us"))
	}
	if r.CPUQuota == 0 {
		r.CPUPeriod = 0
	}
	r.Memory = boundOf(g.memory.either("memory.limit_in_bytes", "memory.max"))
	return r
}

// roomFor tells why a group cannot be bound to less memory: it would have the kernel end
// its processes.
func (g Group) roomFor(have, want docker.Resources) error {
	if want.Memory == 0 || have.Memory != 0 && want.Memory >= have.Memory {
		return nil
	}
	used := boundOf(g.memory.either("memory.usage_in_bytes", "memory.current"))
	if used >= want.Memory {
		return fmt.Errorf("cannot decrease memory limits: attempting to set pod memory limit (%d) below current usage (%d)", want.Memory, used)
	}
	return nil
}

func (c controller) set(to control) error {
	if c.dir == "" {
		return nil
	}
	return setControl(filepath.Join(c.dir, to.file), to.value)
}

// either reads the file of version 1 or that of version 2.
func (c controller) either(one, two string) string {
	if c.unified {
		return c.read(two)
	}
	return c.read(one)
}

func (c controller) read(file string) string {
	content, _ := os.ReadFile(filepath.Join(c.dir, file))
	return strings.TrimSpace(string(content))
}

// boundOf reads a number that stands for a bound; 0: none.
func boundOf(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n >= unbounded {
		return 0
	}
	return n
}

// InstancePath is the control group around those of an instance's Pods. Each instance has
// one at the top: what two instances shared could not be removed without a look at both.
func InstancePath(instanceName string) string { return "/kube-lite-" + instanceName }

// PodPath is the control group of a Pod of an instance.
func PodPath(instanceName string, uid types.UID) string {
	return InstancePath(instanceName) + "/pod" + string(uid)
}

// DriverCgroupfs is the driver of an engine that makes control groups itself. To the other one,
// systemd, a group is a unit with bounds that systemd writes, and writes again over ours.
const DriverCgroupfs = "cgroupfs"

// widest has of each bound the one that allows more.
func widest(a, b docker.Resources) docker.Resources {
	if a.Memory == 0 || b.Memory != 0 && a.Memory > b.Memory {
		b.Memory = a.Memory
	}
	if a.CPUQuota == 0 || b.CPUQuota != 0 && a.CPUQuota > b.CPUQuota {
		b.CPUQuota, b.CPUPeriod = a.CPUQuota, a.CPUPeriod
	}
	return b
}

// FindGroup finds the files of a Pod's group by its sandbox's process.
func FindGroup(groups usage.Cgroups, sandbox pods.Instance) (g Group, err error) {
	for name, at := range map[string]*controller{"cpu": &g.cpu, "memory": &g.memory, "hugetlb": &g.hugetlb} {
		dir, unified, err := groups.Dir(sandbox.PID, name)
		if errors.Is(err, os.ErrNotExist) {
			return g, err
		} else if err != nil { // the kernel has no such controller
			continue
		}
		if filepath.Base(dir) != sandbox.ID || !strings.HasSuffix(filepath.Dir(dir), sandbox.CgroupParent) {
			return g, fmt.Errorf("process %d of the sandbox is not in %s but in %s", sandbox.PID, sandbox.CgroupParent, dir)
		}
		*at = controller{filepath.Dir(dir), unified}
	}
	return g, nil
}
