package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	resourcehelper "k8s.io/component-helpers/resource"
)

// A Pod that declares resources of its own has a control group of its own, in which the
// engine makes those of its sandbox and containers. The kernel then bounds them together.
// https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/

// instanceGroup is the control group around those of an instance's Pods. Each instance has
// one at the top: what two instances shared could not be removed without a look at both.
func instanceGroup(instanceName string) string { return "/kube-lite-" + instanceName }

func podGroup(instanceName string, uid types.UID) string {
	return instanceGroup(instanceName) + "/pod" + string(uid)
}

// cgroupfs is the driver of an engine that makes control groups itself. To the other one,
// systemd, a group is a unit with bounds that systemd writes, and writes again over ours.
const cgroupfs = "cgroupfs"

// groupOf is the control group for a Pod's sandbox and containers; empty: the engine's
// default.
func (a *Agent) groupOf(ctx context.Context, pod *v1.Pod) (string, error) {
	if !resourcehelper.IsPodLevelResourcesSet(pod) {
		return "", nil
	}
	driver, err := a.node.cgroupDriver(ctx)
	if err != nil {
		return "", err
	}
	if driver != cgroupfs {
		return "", nil // boundPod says so
	}
	return podGroup(a.opts.Instance, pod.UID), nil
}

// boundsOf are those of a whole Pod: what it declares, or else all its containers together.
func boundsOf(pod *v1.Pod) docker.Resources {
	request := pods.Requests(pod)[v1.ResourceCPU]
	return bounds(request, pods.Bound(pod, v1.ResourceCPU), pods.Bound(pod, v1.ResourceMemory))
}

// podBounds is what was last written to a Pod's group, and whose sandbox was in it.
type podBounds struct {
	sandboxID string
	docker.Resources
}

// boundPod writes a Pod's bounds to its group, if it has one. With widen it only takes away
// what is narrower: the containers of a Pod that is resized may still need the rest.
func (a *Agent) boundPod(pod *v1.Pod, s *podState, sandbox pods.Instance, widen bool) error {
	want := boundsOf(pod)
	if !sandbox.Running() || !resourcehelper.IsPodLevelResourcesSet(pod) || s.bounds == (podBounds{sandbox.ID, want}) {
		return nil
	}
	if sandbox.CgroupParent == "" {
		s.bounds = podBounds{sandbox.ID, want}
		a.unbounded(pod, "it has no control group of its own, for which it must declare them at its start, and Docker's cgroup driver be cgroupfs")
		return nil
	}
	group, err := findGroup(a.cgroups, sandbox)
	if err != nil {
		return err
	}
	have := group.bounds()
	next := want
	if widen {
		next = widest(have, want)
	} else if err := group.roomFor(have, want); err != nil {
		return err
	}
	if err := group.write(have, next); err != nil {
		return fmt.Errorf("bound the pod's control group: %w", err)
	}
	all := pods.Limits(pod)
	if err := group.hugePages(a.node.facts.hugePages, func(name v1.ResourceName) resource.Quantity { return all[name] }); err != nil {
		return fmt.Errorf("bound the huge pages of the pod's control group: %w", err)
	}
	s.bounds = podBounds{sandbox.ID, next}
	if got := group.bounds(); next.Memory > 0 && got.Memory == 0 || next.CPUQuota > 0 && got.CPUQuota == 0 {
		a.unbounded(pod, "the kernel has no such control in "+group.memory.dir)
	}
	return nil
}

// unbounded tells why a Pod is not bounded as a whole.
func (a *Agent) unbounded(pod *v1.Pod, why string) {
	a.event(pod, nil, v1.EventTypeWarning, "UnsupportedField", "spec.resources bounds each container but not the pod as a whole: %s", why)
}

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

// removeGroup removes a Pod's group when its containers are gone.
func (a *Agent) removeGroup(s *podState) bool {
	if err := removeGroups(a.cgroups, podGroup(a.opts.Instance, s.ref.UID)); err != nil {
		a.log.Warn("a pod's control group cannot be removed", "pod", s.ref, "error", err)
		return false
	}
	s.bounds = podBounds{}
	return true
}

// removeGroups removes a control group from every hierarchy, and those below it. The kernel
// lets none go that has a process.
func removeGroups(groups usage.Cgroups, path string) error {
	var errs []error
	for _, top := range groups.Hierarchies() {
		errs = append(errs, removeGroupDir(filepath.Join(top, path)))
	}
	return errors.Join(errs...)
}

func removeGroupDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() { // its files go with it
			err = errors.Join(err, removeGroupDir(filepath.Join(dir, e.Name())))
		}
	}
	if gone := unix.Rmdir(dir); gone != nil && !errors.Is(gone, unix.ENOENT) {
		err = errors.Join(err, &os.PathError{Op: "rmdir", Path: dir, Err: gone})
	}
	return err
}

// findGroup finds the files of a Pod's group by its sandbox's process.
func findGroup(groups usage.Cgroups, sandbox pods.Instance) (g groupFiles, err error) {
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
