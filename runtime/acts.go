package runtime

import (
	"context"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// The acts on containers, each noted in the mirror before anybody asks, and each
// followed by a.step, where a test may end the daemon.

// create makes a container.
func (a *Agent) create(ctx context.Context, spec docker.ContainerSpec) (string, error) {
	id, err := a.engine.Create(ctx, spec)
	if err != nil {
		return "", err
	}
	a.mirror.created(docker.Container{
		ID: id, Name: spec.Name, Image: spec.Image, Labels: spec.Labels,
		Status: docker.StatusCreated, Created: a.now(), CgroupParent: spec.CgroupParent,
	})
	a.step("created")
	return id, nil
}

// startContainer starts a container and returns what Docker says of it then.
func (a *Agent) startContainer(ctx context.Context, id string) (instance, error) {
	err := a.mirror.start(id, func() error { return a.engine.Start(ctx, id) })
	if err != nil {
		_, _ = a.mirror.refresh(ctx, id) // it says why
		return instance{}, err
	}
	a.step("started")
	return a.mirror.refresh(ctx, id)
}

// removalsAtOnce is how many containers are removed at the same time. More make an
// engine slower, not faster: see docs/PERFORMANCE.md.
const removalsAtOnce = 16

// removeContainer removes a container, running or not.
func (a *Agent) removeContainer(ctx context.Context, id string) error {
	select {
	case a.removals <- struct{}{}:
		defer func() { <-a.removals }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.mirror.remove(id, func() error { return a.engine.Remove(ctx, id) }); err != nil {
		return err
	}
	a.step("removed")
	return nil
}
