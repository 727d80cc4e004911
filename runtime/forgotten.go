package runtime

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// Somebody may remove containers of a Pod, as `docker container prune` does with those that have ended. What the
// Pod's status says of them is kept then, as by a kubelet, and decides what follows.

// withReported returns the Pod with the newest status of its containers: the API may not have it yet, and what Docker
// has forgotten meanwhile nobody else knows.
func (a *Agent) withReported(pod *v1.Pod) *v1.Pod {
	status, ok := a.statuses.latest(pod.UID)
	if !ok {
		return pod
	}
	out := *pod
	out.Status.InitContainerStatuses = status.InitContainerStatuses
	out.Status.ContainerStatuses = status.ContainerStatuses
	out.Status.EphemeralContainerStatuses = status.EphemeralContainerStatuses
	return &out
}

// lastEnd is the last end of a container as far as its status knows; nil: it never ran. Of one that ran when it was
// last seen, and that Docker has forgotten, nobody knows how it ended.
func lastEnd(s v1.ContainerStatus) *v1.ContainerStateTerminated {
	switch {
	case s.State.Terminated != nil:
		return s.State.Terminated
	case s.State.Running != nil:
		return &v1.ContainerStateTerminated{
			Reason: "ContainerStatusUnknown", ExitCode: killedExitCode, ContainerID: s.ContainerID, StartedAt: s.State.Running.StartedAt,
			Message: "The container could not be located when the pod was terminated",
		}
	}
	return s.LastTerminationState.Terminated
}

// vanished tells, of a container that Docker does not have, that it did run.
func vanished(pod *v1.Pod, name string) bool {
	s := statusOf(pod, name)
	return s != nil && lastEnd(*s) != nil
}

// restartsVanished tells whether a container that vanished runs again: it waited for that, or its last exit code says so.
func restartsVanished(pod *v1.Pod, c *v1.Container) bool {
	s := statusOf(pod, c.Name)
	return ephemeral(pod, c.Name) == nil && (s.State.Waiting != nil || restarts(pod, c, int(lastEnd(*s).ExitCode)))
}

// firstAttempt is 0, or one more than the count of a container that vanished.
func firstAttempt(pod *v1.Pod, name string) int {
	s := statusOf(pod, name)
	switch {
	case s == nil:
		return 0
	case vanished(pod, name):
		return int(s.RestartCount) + 1
	}
	return int(s.RestartCount)
}

// outdated tells of an instance that a later one followed, whether Docker has that still or not.
func outdated(pod *v1.Pod, i instance) bool {
	s := statusOf(pod, i.container)
	return s != nil && i.attempt < int(s.RestartCount)
}

// doneUnseen tells of an init container that vanished before its end was seen, and did its part all the same: one
// that comes after it ran in the sandbox in use.
func doneUnseen(pod *v1.Pod, have []instance, c *v1.Container) bool {
	if s := statusOf(pod, c.Name); s != nil && s.State.Terminated != nil || isSidecar(c) {
		return false
	}
	ran, sandbox := map[string]bool{}, lastSandbox(have)
	for _, i := range have {
		ran[i.container] = wasStarted(i) && i.sandboxID == sandbox.ID
	}
	after := false
	for n := range pod.Spec.InitContainers {
		name := pod.Spec.InitContainers[n].Name
		if after && ran[name] {
			return true
		}
		after = after || name == c.Name
	}
	return after && slices.ContainsFunc(pod.Spec.Containers, func(c v1.Container) bool { return ran[c.Name] })
}

// lastSandbox is the newest, if there is any.
func lastSandbox(have []instance) (last instance) {
	for _, i := range have {
		if i.isSandbox() {
			last = i
		}
	}
	return last
}

// staysEnded tells whether the API refuses any other state than the end that a container's status tells of.
func staysEnded(pod *v1.Pod, c *v1.Container, s v1.ContainerStatus) bool {
	switch end := s.State.Terminated; {
	case end == nil, podutil.AllContainersCouldRestart(&pod.Spec):
		return false
	case ephemeral(pod, c.Name) != nil:
		return true
	default:
		return !podutil.ContainerShouldRestart(*c, pod.Spec, end.ExitCode)
	}
}
