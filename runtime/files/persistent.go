package files

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	volumehelpers "k8s.io/component-helpers/storage/volume"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
)

// DirectoryProvisioner made the PersistentVolumes that say so in an annotation; each is a
// directory that nobody had used when it was made.
const DirectoryProvisioner = "kube-lite.io/directory"

// Persistent is a PersistentVolume that a Pod has mounted through a claim. Nothing of it lies in
// the Pod's directory, so no file of it goes with the Pod.
type Persistent struct {
	Name     string // the PersistentVolume's
	Path     string // on this host
	ReadOnly bool   // in each of the Pod's containers
	Ours     bool   // of the DirectoryProvisioner
	Group    string // that may use it beside the Pod's groups; empty: none
}

// PersistentOf is the volume as a Pod mounts it; without a path if this node cannot. A volume
// that nobody may write to by its access modes is mounted read-only.
func PersistentOf(pv *v1.PersistentVolume, v v1.Volume) Persistent {
	p := Persistent{Name: pv.Name, Ours: pv.Annotations[volumehelpers.AnnDynamicallyProvisioned] == DirectoryProvisioner}
	switch {
	case pv.Spec.HostPath != nil:
		p.Path = pv.Spec.HostPath.Path
	case pv.Spec.Local != nil:
		p.Path = pv.Spec.Local.Path
	}
	p.ReadOnly = v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly ||
		slices.Equal(pv.Spec.AccessModes, []v1.PersistentVolumeAccessMode{v1.ReadOnlyMany}) ||
		slices.Contains(pv.Spec.MountOptions, "ro")
	if _, err := strconv.ParseInt(pv.Annotations[volumeutil.VolumeGidAnnotationKey], 10, 64); err == nil {
		p.Group = pv.Annotations[volumeutil.VolumeGidAnnotationKey]
	}
	return p
}

// SourceOf names the type of a PersistentVolume as its manifest does, and the driver of CSI's.
func SourceOf(pv *v1.PersistentVolume) string {
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
