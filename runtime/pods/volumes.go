package pods

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	ephemeralhelpers "k8s.io/component-helpers/storage/ephemeral"
)

// ClaimName is the claim behind a volume; empty: it has none.
func ClaimName(pod *v1.Pod, v v1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return ephemeralhelpers.VolumeClaimName(pod, &v)
	}
	return ""
}

// IsClaim tells of a volume behind a PersistentVolumeClaim, be it made for the Pod alone.
func IsClaim(v v1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil }

// OnDisk tells of an emptyDir that lies on the disk, not in memory.
func OnDisk(v v1.Volume) bool {
	return v.EmptyDir != nil && v.EmptyDir.Medium == v1.StorageMediumDefault
}

// VolumeUses tells whether any container of the Pod mounts a volume, or maps it as a block device.
func VolumeUses(pod *v1.Pod, name string) (mounted, mapped bool) {
	for _, c := range AllContainers(pod) {
		mounted = mounted || slices.ContainsFunc(c.VolumeMounts, func(m v1.VolumeMount) bool { return m.Name == name })
		mapped = mapped || slices.ContainsFunc(c.VolumeDevices, func(d v1.VolumeDevice) bool { return d.Name == name })
	}
	return mounted, mapped
}

// Volume finds the declaration of a volume; nil: there is none.
func Volume(pod *v1.Pod, name string) *v1.Volume {
	for n := range pod.Spec.Volumes {
		if pod.Spec.Volumes[n].Name == name {
			return &pod.Spec.Volumes[n]
		}
	}
	return nil
}

// FSGroup is the group that owns the Pod's volumes; nil: none does.
func FSGroup(pod *v1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// ImageVolumes are the volumes of a container that show images.
func ImageVolumes(pod *v1.Pod, c *v1.Container) (out []v1.Volume) {
	for _, m := range c.VolumeMounts {
		if v := Volume(pod, m.Name); v != nil && v.Image != nil {
			out = append(out, *v)
		}
	}
	return out
}
