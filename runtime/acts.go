package runtime

import (
	"context"
	"time"

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
		Status: docker.StatusCreated, Created: a.now(),
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

// removeContainer removes a container, running or not.
func (a *Agent) removeContainer(ctx context.Context, id string) error {
	if err := a.engine.Remove(ctx, id); err != nil {
		return err
	}
	a.mirror.forget(id)
	a.step("removed")
	return nil
}

// stopContainer ends a container in the background; the event of its end wakes the
// Pod. A second call with less time left makes it faster.
func (a *Agent) stopContainer(s *podState, i instance, grace time.Duration) {
	deadline := a.now().Add(grace)
	until, under := s.stops[i.ID]
	if under && !deadline.Before(until.Add(-time.Second)) {
		return
	}
	s.stops[i.ID] = deadline
	a.tasks.start(func(ctx context.Context) {
		err := a.endContainer(ctx, i.ID, grace)
		if err == nil || ctx.Err() != nil {
			return // the event of its end tells the rest
		}
		if !docker.IsNotFound(err) && !docker.IsConflict(err) { // it is gone, or ended already
			a.log.Warn("a container cannot be stopped", "pod", i.ref, "container", i.container, "error", err)
		}
		if _, err := a.mirror.refresh(ctx, i.ID); err != nil {
			a.workers.poke(i.ref)
		}
	})
}

// endContainer stops a container, or kills it if there is no time.
func (a *Agent) endContainer(ctx context.Context, id string, grace time.Duration) error {
	if grace <= 0 {
		return a.engine.Kill(ctx, id, "SIGKILL")
	}
	return a.engine.Stop(ctx, id, grace)
}
