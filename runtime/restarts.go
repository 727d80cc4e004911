package runtime

import (
	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// runsAgain tells whether a container that ended and is no init container runs again.
func runsAgain(pod *v1.Pod, c *v1.Container, exitCode int) bool {
	return ephemeral(pod, c.Name) == nil && restarts(pod, c, exitCode)
}

// restarts tells whether a container that ended with that code runs again: its own rules
// come first, then its own policy, then the Pod's.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restart-rules
func restarts(pod *v1.Pod, c *v1.Container, exitCode int) bool {
	if _, found := podutil.FindMatchingContainerRestartRule(*c, int32(exitCode)); found { // alone, or with all others
		return true
	}
	policy := string(pod.Spec.RestartPolicy)
	if c.RestartPolicy != nil {
		policy = string(*c.RestartPolicy)
	}
	switch policy {
	case string(v1.RestartPolicyNever):
		return false
	case string(v1.RestartPolicyOnFailure):
		return exitCode != 0
	}
	return true
}

// restartsUnwell tells whether a container that fails its liveness or startup probe is
// started again. How it ends when it is told to does not matter, nor do its rules.
func restartsUnwell(pod *v1.Pod, c *v1.Container) bool {
	if c.RestartPolicy != nil {
		return *c.RestartPolicy != v1.ContainerRestartPolicyNever
	}
	return pod.Spec.RestartPolicy != v1.RestartPolicyNever
}
