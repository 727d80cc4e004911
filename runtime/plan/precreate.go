package plan

import (
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// canPreCreate tells that nothing has to be pulled, copied, read from a volume or made in one
// to create a container: its init containers may have to say in it.
func canPreCreate(pod *v1.Pod, c *v1.Container) bool {
	if c.ImagePullPolicy == v1.PullAlways || len(pods.ImageVolumes(pod, c)) > 0 {
		return false
	}
	for _, m := range c.VolumeMounts {
		if m.SubPath != "" || m.SubPathExpr != "" {
			return false
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.FileKeyRef != nil {
			return false
		}
	}
	return true
}

// choosePreCreated takes the containers that may be created before the init containers are done.
func (d *decision) choosePreCreated() {
	for n := range d.pod.Spec.Containers {
		c := &d.pod.Spec.Containers[n]
		if _, exists := d.latest[c.Name]; !exists && !pods.WasRemoved(d.pod, c.Name) && canPreCreate(d.pod, c) {
			d.PreCreate = append(d.PreCreate, Start{Container: c, Attempt: pods.FirstAttempt(d.pod, c.Name)})
		}
	}
}
