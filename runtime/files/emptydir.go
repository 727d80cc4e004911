package files

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
	"k8s.io/apimachinery/pkg/types"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// MakeEmptyDir makes a directory that every user of the Pod may write to, once: its users
// may change its mode and owner. What is not to lie on disk is mounted there, so that all
// containers share it and it outlives them.
// https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
func (f *Files) MakeEmptyDir(pod *v1.Pod, v v1.Volume) error {
	path := f.config.Dirs.Volume(pod.UID, v)
	if pods.OnDisk(v) {
		return volume.MakeEmptyDir(path, pods.FSGroup(pod))
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return err
	}
	fresh, err := f.mountEmptyDir(pod, v.EmptyDir, path)
	if err != nil || !fresh {
		return err
	}
	return volume.OpenToAll(path, pods.FSGroup(pod))
}

// mountEmptyDir mounts what the medium asks for; fresh is false if it is mounted already,
// by an earlier life of the agent.
func (f *Files) mountEmptyDir(pod *v1.Pod, e *v1.EmptyDirVolumeSource, path string) (fresh bool, err error) {
	mounted, err := volume.MountedBelow(path)
	if err != nil || len(mounted) > 0 {
		return false, err
	}
	switch {
	case e.Medium == v1.StorageMediumMemory:
		allocatable := f.config.Node().Allocatable
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

// DropVolumes removes the volumes of a Pod that is over.
func (f *Files) DropVolumes(uid types.UID) error {
	for _, dir := range []string{filepath.Join(f.config.Dirs.Pod(uid), SubPathsDir), f.config.Dirs.Volumes(uid)} {
		if err := volume.RemoveTree(dir); err != nil {
			return err
		}
	}
	return nil
}

// UnmountAll unmounts what is mounted for all Pods, when all have been stopped.
func (f *Files) UnmountAll() error { return volume.UnmountBelow(f.config.Dirs.All()) }

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
