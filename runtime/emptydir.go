package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// makeEmptyDir makes a directory that every user of the Pod may write to, once: its users
// may change its mode and owner. What is not to lie on disk is mounted there, so that all
// containers share it and it outlives them.
// https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
func (a *Agent) makeEmptyDir(pod *v1.Pod, v v1.Volume) error {
	path := a.dirs.Volume(pod.UID, v)
	if pods.OnDisk(v) {
		return volume.MakeEmptyDir(path, pods.FSGroup(pod))
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return err
	}
	fresh, err := a.mountEmptyDir(pod, v.EmptyDir, path)
	if err != nil || !fresh {
		return err
	}
	return volume.OpenToAll(path, pods.FSGroup(pod))
}

// mountEmptyDir mounts what the medium asks for; fresh is false if it is mounted already,
// by an earlier life of the agent.
func (a *Agent) mountEmptyDir(pod *v1.Pod, e *v1.EmptyDirVolumeSource, path string) (fresh bool, err error) {
	mounted, err := volume.MountedBelow(path)
	if err != nil || len(mounted) > 0 {
		return false, err
	}
	switch {
	case e.Medium == v1.StorageMediumMemory:
		allocatable := a.node.Allocatable()
		return true, volume.MountMemory(path, memorySize(pod, e, *allocatable.Memory()))
	case v1helper.IsHugePageMedium(e.Medium):
		size, err := hugePageSize(pod, e.Medium)
		if err != nil {
			return false, err
		}
		return true, volume.MountHugePages(path, size)
	}
	return false, fmt.Errorf("unknown storage medium %q", e.Medium)
}

// memorySize is the size of a volume in memory: the least of what all Pods, this Pod and
// the volume may take.
func memorySize(pod *v1.Pod, e *v1.EmptyDirVolumeSource, node resource.Quantity) int64 {
	size := node.Value()
	if bound := pods.Bound(pod, v1.ResourceMemory); bound.Sign() > 0 {
		size = min(size, bound.Value())
	}
	if e.SizeLimit != nil && e.SizeLimit.Sign() > 0 {
		size = min(size, e.SizeLimit.Value())
	}
	return size
}

// hugePageSize is the size of the pages that a medium stands for. The containers must have
// asked for such pages; HugePages alone means the one size that they did ask for.
func hugePageSize(pod *v1.Pod, medium v1.StorageMedium) (resource.Quantity, error) {
	asked := map[string]resource.Quantity{}
	lists := []v1.ResourceList{}
	if pod.Spec.Resources != nil {
		lists = append(lists, pod.Spec.Resources.Requests)
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		lists = append(lists, c.Resources.Requests)
	}
	for _, list := range lists {
		for name := range list {
			if size, ok := strings.CutPrefix(string(name), v1.ResourceHugePagesPrefix); ok {
				if quantity, err := resource.ParseQuantity(size); err == nil {
					asked[quantity.String()] = quantity
				}
			}
		}
	}
	if want, ok := strings.CutPrefix(string(medium), string(v1.StorageMediumHugePagesPrefix)); ok {
		if quantity, err := resource.ParseQuantity(want); err == nil {
			if size, ok := asked[quantity.String()]; ok {
				return size, nil
			}
		}
	} else if len(asked) > 1 {
		return resource.Quantity{}, fmt.Errorf("medium: %s can't be used if container requests multiple huge page sizes", medium)
	} else {
		for _, size := range asked {
			return size, nil
		}
	}
	return resource.Quantity{}, fmt.Errorf("medium %s: hugePages storage requested, but there is no resource request for huge pages", medium)
}

// dropVolumes removes the volumes of a Pod that is over, as a kubelet does: nobody can read
// them any more, and a Pod that was evicted has to give back what it took.
func (a *Agent) dropVolumes(s *podState) {
	for _, dir := range []string{filepath.Join(a.dirs.Pod(s.ref.UID), subPathsDir), a.dirs.Volumes(s.ref.UID)} {
		if err := volume.RemoveTree(dir); err != nil {
			a.log.Warn("the volumes of a pod that is over cannot be removed", "pod", s.ref, "error", err)
			return
		}
	}
	a.forgetVolumes(s)
}

// unmountAll unmounts what is mounted for all Pods, when all have been stopped.
func (a *Agent) unmountAll() error {
	return volume.UnmountBelow(a.dirs.All())
}
