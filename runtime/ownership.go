package runtime

import (
	"context"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/spec"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
)

// A directory of our provisioner that nobody has used yet is given to the user of the first
// container that mounts it. See docs/decisions/volume-owners.md.

// giveVolumes gives away what a container is the first to mount, just before it is created.
// Without, it can still write there.
func (r *pipeline) giveVolumes(ctx context.Context, c *v1.Container, made docker.ContainerSpec) {
	for _, m := range c.VolumeMounts {
		if !r.ownedByUse(m) || !r.isFirst(ctx, c, m.Name) {
			continue
		}
		if err := r.giveVolume(ctx, c, r.state.persistent[m.Name].Path, made); err != nil {
			r.log.Warn("a volume is not given to the user of its first container", "pod", r.state.ref, "container", c.Name, "volume", m.Name, "error", err)
		}
	}
}

// ownedByUse tells of a mount whose volume may become its container's user's.
func (r *pipeline) ownedByUse(m v1.VolumeMount) bool {
	p, ok := r.state.persistent[m.Name]
	return ok && p.Ours && !p.ReadOnly && !m.ReadOnly && m.SubPath == "" && m.SubPathExpr == ""
}

// isFirst tells whether a container comes before all others that are started with it and might
// own the volume. One whose image is not there yet does not keep the others waiting.
func (r *pipeline) isFirst(ctx context.Context, c *v1.Container, name string) bool {
	for _, s := range r.plan.Start {
		if s.Container.Name == c.Name {
			return true
		}
		for _, m := range s.Container.VolumeMounts {
			if m.Name == name && r.ownedByUse(m) && r.runsAsAnother(ctx, s.Container) {
				return false
			}
		}
	}
	return true
}

// runsAsAnother tells of a container that is known to run as another user than root.
func (r *pipeline) runsAsAnother(ctx context.Context, c *v1.Container) bool {
	if uid := pods.SecurityContext(r.pod, c).RunAsUser; uid != nil {
		return *uid != 0
	}
	image, err := r.engine.Image(ctx, c.Image)
	return err == nil && !spec.IsRoot(image.User)
}

// giveVolume gives a fresh directory to the user that a container is created with. The Pod's
// fsGroup stays its group.
func (r *pipeline) giveVolume(ctx context.Context, c *v1.Container, path string, made docker.ContainerSpec) error {
	if fresh, err := volume.IsFresh(path); err != nil || !fresh {
		return err
	}
	uid, gid, err := r.specs.Identity(ctx, r.pod, c, made.User)
	if err != nil || uid == 0 {
		return err
	}
	if pods.FSGroup(r.pod) != nil {
		gid = -1
	}
	return volume.GiveFresh(path, uid, gid)
}
