package pods

import (
	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// RunsAgain is Restarts of a container that is no init container: an ephemeral one never does.
func RunsAgain(pod *v1.Pod, c *v1.Container, exitCode int) bool {
	return Ephemeral(pod, c.Name) == nil && Restarts(pod, c, exitCode)
}

// Restarts tells whether a container that ended with that code runs again: its own rules
// come first, then its own policy, then the Pod's.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restart-rules
func Restarts(pod *v1.Pod, c *v1.Container, exitCode int) bool {
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

// RestartsUnhealthy tells whether a container that is stopped for its liveness or startup probe is
// started again. Its exit code does not matter then, nor do its rules.
func RestartsUnhealthy(pod *v1.Pod, c *v1.Container) bool {
	if c.RestartPolicy != nil {
		return *c.RestartPolicy != v1.ContainerRestartPolicyNever
	}
	return pod.Spec.RestartPolicy != v1.RestartPolicyNever
}

// RestartsAllContainers tells whether all containers are restarted upon that exit code of one.
func RestartsAllContainers(c *v1.Container, exitCode int) bool {
	rule, found := podutil.FindMatchingContainerRestartRule(*c, int32(exitCode))
	return found && rule.Action == v1.ContainerRestartRuleActionRestartAllContainers
}
