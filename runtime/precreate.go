package runtime

import (
	"context"
	"reflect"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// Containers are created while the init containers run, so that they only need to be started
// afterwards. Nobody sees it: what is pre-created is not in the status, and is started only if
// it is still what would be created then. See docs/decisions/created-ahead.md.

// choosePreCreated takes the containers that may be created before the init containers are done.
func (d *decision) choosePreCreated() {
	for n := range d.pod.Spec.Containers {
		c := &d.pod.Spec.Containers[n]
		if _, exists := d.latest[c.Name]; !exists && !pods.WasRemoved(d.pod, c.Name) && canPreCreate(d.pod, c) {
			d.preCreate = append(d.preCreate, starting{container: c, attempt: pods.FirstAttempt(d.pod, c.Name)})
		}
	}
}

// canPreCreate tells that nothing has to be pulled, copied, read from a volume or made in one
// to create a container: its init containers may have to say in it.
func canPreCreate(pod *v1.Pod, c *v1.Container) bool {
	if c.ImagePullPolicy == v1.PullAlways || len(imageVolumes(pod, c)) > 0 {
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

// preCreate creates a container whose turn has not come and returns what it was made of.
// Whatever keeps it from being created is found again, and told, when its turn comes.
func (r *pipeline) preCreate(ctx context.Context, s starting) (id string, spec docker.ContainerSpec) {
	spec, err := r.spec(ctx, s)
	if err != nil {
		return "", spec
	}
	id, err = r.agent.create(ctx, spec)
	if err != nil {
		r.agent.log.Debug("a container is not created ahead", "pod", r.state.ref, "container", s.container.Name, "error", err)
		return "", spec
	}
	return id, spec
}

// obtain returns the ID of a container made of spec: of the one that was pre-created, if it
// is the same still, or else of a new one.
func (r *pipeline) obtain(ctx context.Context, s starting, spec docker.ContainerSpec) (string, error) {
	if s.createdID != "" {
		if made, ok := r.state.preCreated[s.createdID]; ok && reflect.DeepEqual(made, spec) {
			return s.createdID, nil
		}
		if err := r.agent.removeContainer(ctx, s.createdID); err != nil {
			return "", err
		}
	}
	return r.agent.create(ctx, spec)
}
