package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// A resize changes what a Pod may use while it runs. First it is decided whether the node
// has the room (considerResize), then the containers are changed (resizeContainers), or
// restarted if their resizePolicy says so: the plan does that, since pods.SpecHash covers
// what needs a restart.
// https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/

// resizeRetry is how soon a change is tried again that Docker refused, or that would have
// taken memory from a container which uses it.
const resizeRetry = 10 * time.Second

// resizeState is how far a Pod's resize is: the two conditions that tell of it.
type resizeState struct {
	recalled            bool
	pending, inProgress *v1.PodCondition
	// applied is what the engine made of a change, by container ID: where the kernel lacks a
	// bound it takes the order and leaves the bound out.
	applied map[string]appliedResources
}

// appliedResources are those that a container shall have and those that it got.
type appliedResources struct{ want, got docker.Resources }

// conditions are those that hold.
func (r resizeState) conditions() (out []v1.PodCondition) {
	for _, c := range []*v1.PodCondition{r.pending, r.inProgress} {
		if c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// recall finds the conditions of an earlier life of the agent.
func (r *resizeState) recall(pod *v1.Pod) {
	if r.recalled {
		return
	}
	r.recalled = true
	for kind, at := range map[v1.PodConditionType]**v1.PodCondition{v1.PodResizePending: &r.pending, v1.PodResizeInProgress: &r.inProgress} {
		if _, old := podutil.GetPodConditionFromList(pod.Status.Conditions, kind); old != nil {
			*at = old.DeepCopy()
		}
	}
}

// setResize makes a condition hold and tells whether that is news. A condition that goes on
// keeps its time.
func setResize(at **v1.PodCondition, kind v1.PodConditionType, reason, message string, generation int64, now time.Time) bool {
	old := *at
	*at = &v1.PodCondition{
		Type: kind, Status: v1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: generation,
		LastTransitionTime: pods.WholeSeconds(now),
	}
	if old == nil {
		return true
	}
	(*at).LastTransitionTime = old.LastTransitionTime
	return old.Reason != reason || old.ObservedGeneration != generation
}

// considerResize grants a Pod what it declares now, if it is something else and there is
// room. If there is none, even on an empty node, the resize waits: a kubelet calls infeasible
// only what its configuration rules out. It returns the Pod as granted. The caller holds the
// lock.
func (a *Agent) considerResize(pod *v1.Pod, s *podState, granted grant) *v1.Pod {
	s.resize.recall(pod)
	if granted.equal(grantOf(pod)) {
		s.resize.pending = nil
		delete(a.allocations.deferred, pod.UID)
		return pod
	}
	if r := shortage(pod, a.admittedPods(pod.UID), a.node.Allocatable()); r != nil {
		if setResize(&s.resize.pending, v1.PodResizePending, v1.PodReasonDeferred, r.Message, pod.Generation, a.now()) {
			a.event(pod, nil, v1.EventTypeWarning, "ResizeDeferred", "%s", resizeMessage("Pod resize "+r.Reason, pod, pod.Generation, r.Message))
		}
		a.allocations.deferred[pod.UID] = s.ref
		return granted.apply(pod)
	}
	if err := a.keep(pod.UID, grantOf(pod)); err != nil {
		a.log.Warn("a pod is not resized: what it was granted cannot be kept", "pod", s.ref, "error", err)
		return granted.apply(pod)
	}
	a.allocations.grants[pod.UID] = &holding{grant: grantOf(pod)}
	delete(a.allocations.deferred, pod.UID)
	s.resize.pending, s.resize.inProgress = nil, nil
	setResize(&s.resize.inProgress, v1.PodResizeInProgress, "", "", pod.Generation, a.now())
	a.event(pod, nil, v1.EventTypeNormal, "ResizeStarted", "%s", resizeMessage("Pod resize started", pod, pod.Generation, ""))
	return pod
}

// resizeContainers brings the bounds of running containers to what their Pod was granted,
// and returns when to try again what failed.
func (a *Agent) resizeContainers(ctx context.Context, pod *v1.Pod, s *podState, have []pods.Instance) (wake time.Time) {
	var errs []error
	due, sandbox := false, pods.RunningSandbox(have)
	boundPod := func(widen bool) {
		if err := a.boundPod(pod, s, sandbox, widen); err != nil && !errors.Is(err, fs.ErrNotExist) { // the sandbox just ended
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
	if s.resize.inProgress != nil && !due {
		generation := s.resize.inProgress.ObservedGeneration
		s.resize.inProgress = nil
		a.event(pod, nil, v1.EventTypeNormal, "ResizeCompleted", "%s", resizeMessage("Pod resize completed", pod, generation, ""))
		a.enqueueDeferred() // it may have made room
	}
	return time.Time{}
}

// resizeContainer changes one container. A memory limit below what is in use would have
// the kernel end it.
func (a *Agent) resizeContainer(ctx context.Context, s *podState, i pods.Instance, want docker.Resources) error {
	if want.Memory > 0 && (i.Resources.Memory == 0 || want.Memory < i.Resources.Memory) {
		used, err := a.memoryInUse(i.PID)
		if err != nil && i.Resources.Memory > 0 { // with no bound there may be nothing that counts
			return fmt.Errorf("cannot decrease memory limits: missing container %q memory usage", i.ContainerName)
		}
		if used >= want.Memory {
			return fmt.Errorf("cannot decrease memory limits: attempting to set container %q memory limit (%d) below current usage (%d)", i.ContainerName, want.Memory, used)
		}
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
	generation, said := pod.Generation, ""
	if old := s.resize.inProgress; old != nil {
		generation, said = old.ObservedGeneration, old.Message
	}
	setResize(&s.resize.inProgress, v1.PodResizeInProgress, v1.PodReasonError, err.Error(), generation, a.now())
	if said != err.Error() {
		a.event(pod, nil, v1.EventTypeWarning, "ResizeError", "%s", resizeMessage("Pod resize error", pod, generation, err.Error()))
	}
}

// resizeMessage is a kubelet's: what the containers declare, as JSON.
func resizeMessage(prefix string, pod *v1.Pod, generation int64, failure string) string {
	type container struct {
		Name      string                  `json:"name"`
		Resources v1.ResourceRequirements `json:"resources"`
	}
	summary := struct {
		InitContainers []container `json:"initContainers,omitempty"`
		Containers     []container `json:"containers,omitempty"`
		Generation     int64       `json:"generation"`
		Error          string      `json:"error,omitempty"`
	}{Generation: generation, Error: failure}
	for _, c := range pod.Spec.InitContainers {
		summary.InitContainers = append(summary.InitContainers, container{c.Name, c.Resources})
	}
	for _, c := range pod.Spec.Containers {
		summary.Containers = append(summary.Containers, container{c.Name, c.Resources})
	}
	text, err := json.Marshal(summary)
	if err != nil {
		return prefix
	}
	return prefix + ": " + string(text)
}
