package runtime

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/mirror"
	"github.com/kube-lite/kube-lite/runtime/pause"
	"github.com/kube-lite/kube-lite/runtime/pods"
)

// acts are those on containers, each noted in the mirror before anybody asks, and each followed by step, where a test may end
// the daemon.
type acts struct {
	engine     engine
	mirror     *mirror.Mirror
	changes    *broadcast // of containers, as the mirror has them
	starts     seats      // of calls that create or start a container
	removals   seats      // of calls that remove one
	unanswered sync.Map   // IDs of containers that Docker may start still, though its answer never came
	now        func() time.Time
	step       func(act string)
}

// maxStarts is how many containers are created or started at the same time. Docker works
// through a few at once however many it is asked for. Sixty take it some seconds each; the hundreds
// of a full node would come close to the limit of a call, and those that pass it are made twice.
const maxStarts = 64

// seats bounds how much of something is done at the same time.
type seats chan struct{}

// take waits for one, and is followed by leave unless ctx ended first.
func (s seats) take(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s seats) leave() { <-s }

// create makes a container. If its name is taken, as by a create that seemed to have failed, the
// mirror knows of who has it.
func (a *acts) create(ctx context.Context, spec docker.ContainerSpec) (string, error) {
	if err := a.starts.take(ctx); err != nil {
		return "", err
	}
	id, err := a.engine.Create(ctx, spec)
	a.starts.leave()
	if docker.IsConflict(err) {
		if _, unknown := a.mirror.Refresh(ctx, spec.Name); unknown != nil && !docker.IsNotFound(unknown) {
			return "", fmt.Errorf("%s: %w", docker.Words(err), unknown)
		}
	}
	if err != nil {
		return "", err
	}
	a.mirror.Created(docker.Container{
		ID: id, Name: spec.Name, Image: spec.Image, Labels: spec.Labels,
		Status: docker.StatusCreated, Created: a.now(), CgroupParent: spec.CgroupParent,
	})
	a.step("created")
	return id, nil
}

// startContainer starts a container and returns what Docker says of it then.
func (a *acts) startContainer(ctx context.Context, id string) (pods.Instance, error) {
	if err := a.starts.take(ctx); err != nil {
		return pods.Instance{}, err
	}
	var started pods.Instance
	var unread error
	err := a.mirror.Start(id, func() error {
		err := a.engine.Start(ctx, id)
		a.starts.leave()
		if err == nil {
			a.step("started")
			started, unread = a.mirror.Refresh(ctx, id)
		}
		return err
	})
	if docker.IsUnavailable(err) {
		a.unanswered.Store(id, struct{}{})
	}
	if err != nil {
		_, _ = a.mirror.Refresh(ctx, id) // it says why
		return pods.Instance{}, err
	}
	return started, unread
}

// maxRemovals is how many containers are removed at the same time. More make an
// engine slower, not faster: see docs/PERFORMANCE.md.
const maxRemovals = 16

// removeContainer removes a container, running or not.
func (a *acts) removeContainer(ctx context.Context, id string) error {
	if err := a.removals.take(ctx); err != nil {
		return err
	}
	defer a.removals.leave()
	if err := a.mirror.Remove(id, func() error { return a.engine.Remove(ctx, id) }); err != nil {
		return err
	}
	a.unanswered.Delete(id)
	a.step("removed")
	return nil
}

// endsNow tells whether a sandbox that ran does not any more, or is about to end.
func (a *acts) endsNow(ctx context.Context, sandboxID string) bool {
	ctx, cancel := context.WithTimeout(ctx, sandboxEndTimeout)
	defer cancel()
	_, _ = a.mirror.Refresh(ctx, sandboxID) // what it finds is looked for below
	for {
		changed := a.changes.wait()
		if i, ok := a.mirror.Get(sandboxID); !ok || !i.Running() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// ensurePauseImage loads the sandbox image into Docker unless it is there.
func (a *acts) ensurePauseImage(ctx context.Context) error {
	_, err := a.engine.Image(ctx, pause.Ref)
	if docker.IsNotFound(err) {
		return a.engine.Load(ctx, bytes.NewReader(pause.Tar()))
	}
	return err
}
