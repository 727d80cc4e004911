package pods

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// Somebody may remove containers of a Pod, as `docker container prune` does with those that have ended. What the
// Pod's status says of them is kept then, as by a kubelet, and decides what follows.

// LastTermination is how a container ended last, as far as its status knows; nil: it never ran. Of one that ran when it
// was last seen, and that Docker does not have any more, nobody knows how it ended.
func LastTermination(s v1.ContainerStatus) *v1.ContainerStateTerminated {
	switch {
	case s.State.Terminated != nil:
		return s.State.Terminated
	case s.State.Running != nil:
		return &v1.ContainerStateTerminated{
			Reason: "ContainerStatusUnknown", ExitCode: KilledExitCode, ContainerID: s.ContainerID, StartedAt: s.State.Running.StartedAt,
			Message: "The container could not be located when the pod was terminated",
		}
	}
	return s.LastTerminationState.Terminated
}

// WasRemoved tells, of a container that Docker does not have, that it did run.
func WasRemoved(pod *v1.Pod, name string) bool {
	s := ContainerStatus(pod, name)
	return s != nil && LastTermination(*s) != nil
}

// RestartsRemoved tells whether a container that was removed runs again: it waited for that, or its last exit code says
// so.
func RestartsRemoved(pod *v1.Pod, c *v1.Container) bool {
	s := ContainerStatus(pod, c.Name)
	return Ephemeral(pod, c.Name) == nil && (s.State.Waiting != nil || Restarts(pod, c, int(LastTermination(*s).ExitCode)))
}

// FirstAttempt is the attempt of a container that Docker does not have: 0, or the next after the one that was removed.
func FirstAttempt(pod *v1.Pod, name string) int {
	s := ContainerStatus(pod, name)
	switch {
	case s == nil:
		return 0
	case WasRemoved(pod, name):
		return int(s.RestartCount) + 1
	}
	return int(s.RestartCount)
}

// Superseded tells of an instance that a later one followed, whether Docker still has that or not.
func Superseded(pod *v1.Pod, i Instance) bool {
	s := ContainerStatus(pod, i.ContainerName)
	return s != nil && i.Attempt < int(s.RestartCount)
}

// CompletedUnseen tells of an init container that was removed before its end was seen, and had completed all the same:
// one that comes after it ran in the sandbox in use.
func CompletedUnseen(pod *v1.Pod, have []Instance, c *v1.Container) bool {
	if s := ContainerStatus(pod, c.Name); s != nil && s.State.Terminated != nil || IsSidecar(c) {
		return false
	}
	ran, sandbox := map[string]bool{}, LastSandbox(have)
	for _, i := range have {
		ran[i.ContainerName] = i.WasStarted() && i.SandboxID == sandbox.ID
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

// StaysTerminated tells whether the API refuses any other state than the end that a container's status tells of.
func StaysTerminated(pod *v1.Pod, c *v1.Container, s v1.ContainerStatus) bool {
	switch end := s.State.Terminated; {
	case end == nil, podutil.AllContainersCouldRestart(&pod.Spec):
		return false
	case Ephemeral(pod, c.Name) != nil:
		return true
	default:
		return !podutil.ContainerShouldRestart(*c, pod.Spec, end.ExitCode)
	}
}
