package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	volumehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"
)

// mountClaim makes the volume behind a claim ready for the Pod's containers. A volume that none
// of them mounts is not looked at, as by a kubelet.
func (a *Agent) mountClaim(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume) error {
	mounted, mapped := pods.VolumeUses(pod, v.Name)
	if !mounted && !mapped {
		return nil
	}
	pv, err := a.claims.Bound(ctx, pod, v)
	if err != nil {
		return &files.ClaimErrors{Volumes: []string{v.Name}, Errs: []string{err.Error()}}
	}
	mode := ptr.Deref(pv.Spec.VolumeMode, v1.PersistentVolumeFilesystem)
	switch {
	case mounted && mode != v1.PersistentVolumeFilesystem:
		return &files.ClaimErrors{Volumes: []string{v.Name}, Errs: []string{
			fmt.Sprintf("volume %s has volumeMode %s, but is specified in volumeMounts", v.Name, mode)}}
	case mapped && mode != v1.PersistentVolumeBlock:
		return &files.ClaimErrors{Volumes: []string{v.Name}, Errs: []string{
			fmt.Sprintf("volume %s has volumeMode %s, but is specified in volumeDevices", v.Name, mode)}}
	case mapped:
		return &files.MountError{Volume: pv.Name, Step: files.StepMap, Err: fmt.Errorf(
			"raw block devices are not supported, and claim %s/%s has volumeMode Block", pod.Namespace, pods.ClaimName(pod, v))}
	}
	p, err := a.mountPersistent(ctx, pod, s, v, pv)
	if err == nil {
		s.persistent[v.Name] = p
	}
	return err
}

// lacksClaims tells that a container wants a claim which no container did when the Pod was
// prepared: one that was added to debug others.
func lacksClaims(pod *v1.Pod, s *podState) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v v1.Volume) bool {
		if _, mounted := s.persistent[v.Name]; mounted || !pods.IsClaim(v) {
			return false
		}
		wanted, _ := pods.VolumeUses(pod, v.Name)
		return wanted
	})
}

// persistentGroups are the groups that volumes ask for beside those which the Pod declares.
func persistentGroups(pod *v1.Pod, s *podState) (out []string) {
	for _, v := range pod.Spec.Volumes {
		if p := s.persistent[v.Name]; p.Group != "" && !slices.Contains(out, p.Group) {
			out = append(out, p.Group)
		}
	}
	return out
}

// mountPersistent checks that this node can mount a volume, and has it owned by the Pod's group.
func (a *Agent) mountPersistent(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume, pv *v1.PersistentVolume) (p files.Persistent, err error) {
	p = files.PersistentOf(pv, v)
	if p.Path == "" {
		return p, &files.MountError{Volume: pv.Name, Step: files.StepFindPlugin, Err: fmt.Errorf(
			"no volume plugin matched: PersistentVolumes of type %s are not supported, only hostPath and local are", files.SourceOf(pv))}
	}
	if err := a.checkAffinity(ctx, pv); err != nil {
		return p, &files.MountError{Volume: pv.Name, Step: files.StepNodeAffinity, Err: err}
	}
	if len(pv.Spec.MountOptions) > 0 && pv.Spec.HostPath != nil {
		return p, &files.MountError{Volume: pv.Name, Step: files.StepMountOptions, Err: errors.New("mount options are not supported for this volume type")}
	}
	shared := a.share(pod, v, pv)
	if err := a.setUp(ctx, pod, s, v, pv, p, shared); err != nil {
		a.claims.Release(pv.Name, pod.UID)
		return p, &files.MountError{Volume: pv.Name, Step: files.StepSetUp, Err: err}
	}
	return p, nil
}

// setUp makes sure of what is at a volume's path. Shared says that another Pod has it mounted.
func (a *Agent) setUp(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume, pv *v1.PersistentVolume, p files.Persistent, shared bool) error {
	if shared && slices.Equal(pv.Spec.AccessModes, []v1.PersistentVolumeAccessMode{v1.ReadWriteOncePod}) {
		return errors.New("volume uses the ReadWriteOncePod access mode and is already in use by another pod")
	}
	if h := pv.Spec.HostPath; h != nil {
		return volume.CheckHostPath(h.Path, ptr.Deref(h.Type, v1.HostPathUnset))
	}
	info, err := os.Stat(p.Path)
	if os.IsNotExist(err) {
		return fmt.Errorf("path %q does not exist", p.Path)
	} else if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("path %q is not a directory, and only directories are supported", p.Path)
	}
	a.warnMountOptions(pod, s, pv)
	return a.applyGroup(ctx, pod, pv.Name, p, shared)
}

// checkAffinity reads this node's labels for a volume that cares for them.
func (a *Agent) checkAffinity(ctx context.Context, pv *v1.PersistentVolume) error {
	if pv.Spec.NodeAffinity == nil {
		return nil
	}
	node, err := a.ownNode(ctx)
	if err != nil {
		return err
	}
	return volumehelpers.CheckNodeAffinity(pv, node.Labels)
}

// warnMountOptions names the options of a volume that are ignored, once for each Pod.
func (a *Agent) warnMountOptions(pod *v1.Pod, s *podState, pv *v1.PersistentVolume) {
	key := "mountOptions of " + pv.Name
	ignored := slices.DeleteFunc(slices.Clone(pv.Spec.MountOptions), func(o string) bool { return o == "ro" || o == "rw" })
	if len(ignored) > 0 && !s.warned[key] {
		s.warned[key] = true
		a.event(pod, nil, v1.EventTypeWarning, "UnsupportedField",
			"spec.mountOptions %v of PersistentVolume %q are not supported yet and are ignored", ignored, pv.Name)
	}
}

// forgetVolumes says that a Pod's volumes are gone, or about to go.
func (a *Agent) forgetVolumes(s *podState) {
	s.prepared, s.projected, s.persistent = false, map[string]volume.Files{}, map[string]files.Persistent{}
	a.claims.Leave(s.ref.UID)
}

// claimChanged wakes the Pods that wait for a claim or its volume.
func (a *Agent) claimChanged(namespace, name string) {
	for _, pod := range a.claims.PodsOf(namespace, name) {
		a.enqueuePod(pod)
	}
}
