package runtime

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// share notes that a Pod mounts a volume, and tells whether another Pod of this node has it
// mounted. Those of an earlier life of the agent are known by their sandboxes; those whose
// containers have all ended for good do not count.
func (a *Agent) share(pod *v1.Pod, v v1.Volume, pv *v1.PersistentVolume) (shared bool) {
	over := map[types.UID]bool{}
	for _, other := range a.claims.PodsOf(pod.Namespace, pods.ClaimName(pod, v)) {
		alive := pods.Running(a.mirror.Pod(other.UID))
		containers, _ := pods.Split(alive)
		over[other.UID] = pods.IsFinal(other.Status.Phase) && len(containers) == 0
		shared = shared || other.UID != pod.UID && !over[other.UID] && len(alive) > 0
	}
	return a.claims.Hold(pv.Name, pod.UID, over) || shared
}

// groupChangeSlow is how long the change of a volume's group takes before somebody hears of it, as
// on a kubelet's node.
const groupChangeSlow = 30 * time.Second

// ownershipPage is what a kubelet's event of that names.
const ownershipPage = "https://kubernetes.io/docs/tasks/configure-pod-container/security-context/" +
	"#configure-volume-permission-and-ownership-change-policy-for-pods"

// applyGroup gives a volume to the Pod's fsGroup, as its policy says: when the Pod is new, and
// unless another Pod has the volume already.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#configure-volume-permission-and-ownership-change-policy-for-pods
func (a *Agent) applyGroup(ctx context.Context, pod *v1.Pod, name string, p files.Persistent, shared bool) error {
	group := pods.FSGroup(pod)
	if group == nil || len(a.mirror.Pod(pod.UID)) > 0 { // it was prepared in an earlier life of the agent
		return nil
	}
	if shared {
		return a.warnOtherGroup(pod, name, p.Path, *group)
	}
	if p.ReadOnly {
		return nil
	}
	if policy := pod.Spec.SecurityContext.FSGroupChangePolicy; policy != nil && *policy == v1.FSGroupChangeOnRootMismatch {
		if has, err := volume.HasGroup(p.Path, *group); err != nil || has {
			return err
		}
	}
	slow := time.AfterFunc(groupChangeSlow, func() {
		a.event(pod, nil, v1.EventTypeWarning, "VolumePermissionChangeInProgress",
			"Setting volume ownership for %s is taking longer than expected, consider using OnRootMismatch - %s", p.Path, ownershipPage)
	})
	defer slow.Stop()
	return volume.SetGroup(ctx, p.Path, *group)
}

// warnOtherGroup tells that a Pod gets a volume with the group of whoever was first.
func (a *Agent) warnOtherGroup(pod *v1.Pod, name, path string, group int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("failed to check fsGroup for %s (%w)", path, err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int64(stat.Gid) != group {
		a.event(pod, nil, v1.EventTypeWarning, "AlreadyMountedVolume",
			"The requested fsGroup is %d, but the volume %s has GID %d. The volume may not be shareable.", group, name, stat.Gid)
	}
	return nil
}
