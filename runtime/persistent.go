package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
	volumehelpers "k8s.io/component-helpers/storage/volume"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
	"k8s.io/utils/ptr"
)

// directoryProvisioner made the PersistentVolumes that say so in an annotation; each is a
// directory that nobody had used when it was made.
const directoryProvisioner = "kube-lite.io/directory"

// persistent is a PersistentVolume that a Pod has mounted through a claim. Nothing of it lies in
// the Pod's directory, so no file of it goes with the Pod.
type persistent struct {
	name     string // the PersistentVolume's
	path     string // on this host
	readOnly bool   // in each of the Pod's containers
	ours     bool   // of the directoryProvisioner
	group    string // that may use it beside the Pod's groups; empty: none
}

// mountClaim makes the volume behind a claim ready for the Pod's containers. A volume that none
// of them mounts is not looked at, as by a kubelet.
func (a *Agent) mountClaim(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume) error {
	mounted, mapped := pods.VolumeUses(pod, v.Name)
	if !mounted && !mapped {
		return nil
	}
	pv, err := a.bound(ctx, pod, v)
	if err != nil {
		return &claimErrors{[]string{v.Name}, []string{err.Error()}}
	}
	mode := ptr.Deref(pv.Spec.VolumeMode, v1.PersistentVolumeFilesystem)
	switch {
	case mounted && mode != v1.PersistentVolumeFilesystem:
		return &claimErrors{[]string{v.Name}, []string{fmt.Sprintf("volume %s has volumeMode %s, but is specified in volumeMounts", v.Name, mode)}}
	case mapped && mode != v1.PersistentVolumeBlock:
		return &claimErrors{[]string{v.Name}, []string{fmt.Sprintf("volume %s has volumeMode %s, but is specified in volumeDevices", v.Name, mode)}}
	case mapped:
		return &mountError{pv.Name, stepMap, fmt.Errorf("raw block devices are not supported, and claim %s/%s has volumeMode Block", pod.Namespace, pods.ClaimName(pod, v))}
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
		if p := s.persistent[v.Name]; p.group != "" && !slices.Contains(out, p.group) {
			out = append(out, p.group)
		}
	}
	return out
}

// mountPersistent checks that this node can mount a volume, and has it owned by the Pod's group.
func (a *Agent) mountPersistent(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume, pv *v1.PersistentVolume) (p persistent, err error) {
	p = persistentOf(pv, v)
	if p.path == "" {
		return p, &mountError{pv.Name, stepFindPlugin, fmt.Errorf("no volume plugin matched: PersistentVolumes of type %s are not supported, only hostPath and local are", sourceOf(pv))}
	}
	if err := a.checkAffinity(ctx, pv); err != nil {
		return p, &mountError{pv.Name, stepNodeAffinity, err}
	}
	if len(pv.Spec.MountOptions) > 0 && pv.Spec.HostPath != nil {
		return p, &mountError{pv.Name, stepMountOptions, errors.New("mount options are not supported for this volume type")}
	}
	shared := a.share(pod, v, pv)
	if err := a.setUp(ctx, pod, s, v, pv, p, shared); err != nil {
		a.claims.release(pv.Name, pod.UID)
		return p, &mountError{pv.Name, stepSetUp, err}
	}
	return p, nil
}

// setUp makes sure of what is at a volume's path. Shared says that another Pod has it mounted.
func (a *Agent) setUp(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume, pv *v1.PersistentVolume, p persistent, shared bool) error {
	if shared && slices.Equal(pv.Spec.AccessModes, []v1.PersistentVolumeAccessMode{v1.ReadWriteOncePod}) {
		return errors.New("volume uses the ReadWriteOncePod access mode and is already in use by another pod")
	}
	if h := pv.Spec.HostPath; h != nil {
		return volume.CheckHostPath(h.Path, ptr.Deref(h.Type, v1.HostPathUnset))
	}
	info, err := os.Stat(p.path)
	if os.IsNotExist(err) {
		return fmt.Errorf("path %q does not exist", p.path)
	} else if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("path %q is not a directory, and only directories are supported", p.path)
	}
	a.warnMountOptions(pod, s, pv)
	return a.applyGroup(ctx, pod, pv.Name, p, shared)
}

// persistentOf is the volume as a Pod mounts it; without a path if this node cannot. A volume
// that nobody may write to by its access modes is mounted read-only.
func persistentOf(pv *v1.PersistentVolume, v v1.Volume) persistent {
	p := persistent{name: pv.Name, ours: pv.Annotations[volumehelpers.AnnDynamicallyProvisioned] == directoryProvisioner}
	switch {
	case pv.Spec.HostPath != nil:
		p.path = pv.Spec.HostPath.Path
	case pv.Spec.Local != nil:
		p.path = pv.Spec.Local.Path
	}
	p.readOnly = v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly ||
		slices.Equal(pv.Spec.AccessModes, []v1.PersistentVolumeAccessMode{v1.ReadOnlyMany}) ||
		slices.Contains(pv.Spec.MountOptions, "ro")
	if _, err := strconv.ParseInt(pv.Annotations[volumeutil.VolumeGidAnnotationKey], 10, 64); err == nil {
		p.group = pv.Annotations[volumeutil.VolumeGidAnnotationKey]
	}
	return p
}

// claimPath is where the volume behind a claim lies; empty: it is not bound, or this node cannot mount it.
func (a *Agent) claimPath(pod *v1.Pod, v v1.Volume) string {
	pv, err := a.claims.cached().bound(pod, v)
	if err != nil {
		return ""
	}
	return persistentOf(pv, v).path
}

// sourceOf names the type of a PersistentVolume as its manifest does, and the driver of CSI's.
func sourceOf(pv *v1.PersistentVolume) string {
	if csi := pv.Spec.CSI; csi != nil {
		return fmt.Sprintf("csi (driver %s)", csi.Driver)
	}
	source := reflect.ValueOf(pv.Spec.PersistentVolumeSource)
	for n := range source.NumField() {
		if !source.Field(n).IsNil() {
			name, _, _ := strings.Cut(source.Type().Field(n).Tag.Get("json"), ",")
			return name
		}
	}
	return "unknown"
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
		a.event(pod, nil, v1.EventTypeWarning, "UnsupportedField", "spec.mountOptions %v of PersistentVolume %q are not supported yet and are ignored", ignored, pv.Name)
	}
}

// forgetVolumes says that a Pod's volumes are gone, or about to go.
func (a *Agent) forgetVolumes(s *podState) {
	s.prepared, s.projected, s.persistent = false, map[string]volume.Files{}, map[string]persistent{}
	a.claims.leave(s.ref.UID)
}
