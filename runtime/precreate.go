package runtime

import (
	"context"
	"reflect"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/plan"
)

// Containers are created while the init containers run, so that they only need to be started
// afterwards. Nobody sees it: what is pre-created is not in the status, and is started only if
// it is still what would be created then. See docs/decisions/created-ahead.md.

// preCreate creates a container whose turn has not come and returns what it was made of.
// Whatever keeps it from being created is found again, and told, when its turn comes.
func (r *pipeline) preCreate(ctx context.Context, s plan.Start) (id string, spec docker.ContainerSpec) {
	spec, err := r.spec(ctx, s)
	if err != nil {
		return "", spec
	}
	id, err = r.acts.create(ctx, spec)
	if err != nil {
		r.log.Debug("a container is not created ahead", "pod", r.state.ref, "container", s.Container.Name, "error", err)
		return "", spec
	}
	return id, spec
}

// obtain returns the ID of a container made of spec: of the one that was pre-created, if it
// is the same still, or else of a new one.
func (r *pipeline) obtain(ctx context.Context, s plan.Start, spec docker.ContainerSpec) (string, error) {
	if s.CreatedID != "" {
		if made, ok := r.state.preCreated[s.CreatedID]; ok && reflect.DeepEqual(made, spec) {
			return s.CreatedID, nil
		}
		if err := r.acts.removeContainer(ctx, s.CreatedID); err != nil {
			return "", err
		}
	}
	return r.acts.create(ctx, spec)
}
