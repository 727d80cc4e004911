package runtime

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// A resize changes what a Pod may use while it runs. First it is decided whether the node
// has the room (limits.Allocations), then the containers are changed (resizeContainers), or
// restarted if their resizePolicy says so: the plan does that, since pods.SpecHash covers
// what needs a restart.
// https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/

// resizeRetry is how soon a change is tried again that Docker refused, or that would have
// taken memory from a container which uses it.
const resizeRetry = 10 * time.Second

// resizeState is how far a Pod's resize is.
type resizeState struct {
	limits.ResizeProgress
	// applied is what the engine made of a change, by container ID: where the kernel lacks a
	// bound it takes the order and leaves the bound out.
	applied map[string]appliedResources
}

// appliedResources are those that a container shall have and those that it got.
type appliedResources struct{ want, got docker.Resources }

// noteResize tells what was decided about a resize.
func (a *Agent) noteResize(pod *v1.Pod, s *podState, r limits.Resize) {
	s.resize.Recall(pod)
	switch r.Outcome {
	case limits.Unchanged:
		s.resize.None()
	case limits.Deferred:
		if s.resize.Defer(pod, r.Shortage.Message, a.now()) {
			message := limits.ResizeMessage("Pod resize "+r.Shortage.Reason, pod, pod.Generation, r.Shortage.Message)
			a.event(pod, nil, v1.EventTypeWarning, "ResizeDeferred", "%s", message)
		}
	case limits.Accepted:
		s.resize.Begin(pod, a.now())
		a.event(pod, nil, v1.EventTypeNormal, "ResizeStarted", "%s", limits.ResizeMessage("Pod resize started", pod, pod.Generation, ""))
	case limits.NotKept: // and logged; it is tried again
	}
}

// resizeContainers brings the bounds of running containers to what their Pod was granted,
// and returns when to try again what failed.
func (a *Agent) resizeContainers(ctx context.Context, pod *v1.Pod, s *podState, have []pods.Instance) (wake time.Time) {
	var errs []error
	due, sandbox := false, pods.RunningSandbox(have)
	boundPod := func(widen bool) {
		if err := a.groups().bound(pod, s, sandbox, widen); err != nil && !errors.Is(err, fs.ErrNotExist) { // the sandbox just ended
			errs = append(errs, err)
		}
	}
	boundPod(true)
	maps.DeleteFunc(s.resize.applied, func(id string, _ appliedResources) bool {
		return !slices.ContainsFunc(have, func(i pods.Instance) bool { return i.ID == id })
	})
	for _, i := range have {
		c := pods.Container(pod, i.ContainerName)
		if c == nil || !i.Running() {
			continue
		}
		if i.SpecHash != pods.SpecHash(pod, c) {
			due = true // the plan restarts it
			continue
		}
		want := limits.OfContainer(pod, c)
		if i.Resources == want || s.resize.applied[i.ID] == (appliedResources{want, i.Resources}) {
			continue
		}
		if err := a.resizeContainer(ctx, s, i, want); err != nil {
			due, errs = true, append(errs, err)
		}
	}
	if !due && len(errs) == 0 {
		boundPod(false)
	}
	if err := errors.Join(errs...); err != nil {
		a.resizeFailed(pod, s, err)
		return a.now().Add(resizeRetry)
	}
	if due {
		return time.Time{}
	}
	if generation, was := s.resize.Complete(); was {
		a.event(pod, nil, v1.EventTypeNormal, "ResizeCompleted", "%s", limits.ResizeMessage("Pod resize completed", pod, generation, ""))
		a.allocations.EnqueueDeferred() // it may have made room
	}
	return time.Time{}
}

// resizeContainer changes one container.
func (a *Agent) resizeContainer(ctx context.Context, s *podState, i pods.Instance, want docker.Resources) error {
	inUse := func() (int64, error) { return a.memoryInUse(i.PID) }
	if err := limits.CheckDecrease(i.ContainerName, i.Resources, want, inUse); err != nil {
		return err
	}
	if err := a.engine.Update(ctx, i.ID, want); err != nil {
		return err
	}
	a.step("resized")
	now, err := a.mirror.Refresh(ctx, i.ID)
	if err == nil && now.Resources != want {
		a.log.Warn("the engine does not bound a container as declared", "pod", s.ref, "container", i.ContainerName, "want", want, "got", now.Resources)
		s.resize.applied[i.ID] = appliedResources{want, now.Resources}
	}
	return err
}

func (a *Agent) resizeFailed(pod *v1.Pod, s *podState, err error) {
	if generation, news := s.resize.Fail(pod, err, a.now()); news {
		a.event(pod, nil, v1.EventTypeWarning, "ResizeError", "%s", limits.ResizeMessage("Pod resize error", pod, generation, err.Error()))
	}
}
