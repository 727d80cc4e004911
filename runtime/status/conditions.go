package status

import (
	"fmt"
	"strings"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// conditions are ours in a kubelet's order, then those of others as they are.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
func (o Observation) conditions(s v1.PodStatus) []v1.PodCondition {
	containersReady := o.containersReady(s)
	ours := []v1.PodCondition{
		condition(v1.PodReadyToStartContainers, o.Sandbox, "", ""),
		o.initialized(s),
		o.podReady(containersReady),
		containersReady,
		condition(v1.PodScheduled, true, "", ""),
	}
	if podutil.AllContainersCouldRestart(&o.Pod.Spec) {
		ours = append(ours, o.restarting())
	}
	out := make([]v1.PodCondition, 0, len(ours))
	for _, c := range ours {
		out = append(out, o.since(c))
	}
	out = append(out, o.Resize...)
	for _, c := range o.Pod.Status.Conditions {
		if _, known := podutil.GetPodConditionFromList(ours, c.Type); known == nil && !isResizeCondition(c.Type) {
			out = append(out, c)
		}
	}
	return out
}

// since keeps the time of a condition's last change.
func (o Observation) since(c v1.PodCondition) v1.PodCondition {
	c.ObservedGeneration = o.generation()
	c.LastTransitionTime = pods.WholeSeconds(o.Now)
	if _, old := podutil.GetPodConditionFromList(o.Pod.Status.Conditions, c.Type); old != nil {
		c.LastProbeTime = old.LastProbeTime
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	return c
}

func condition(kind v1.PodConditionType, holds bool, reason, message string) v1.PodCondition {
	status := v1.ConditionFalse
	if holds {
		status = v1.ConditionTrue
	}
	return v1.PodCondition{Type: kind, Status: status, Reason: reason, Message: message}
}

func (o Observation) initialized(s v1.PodStatus) v1.PodCondition {
	var open []string
	for n, c := range s.InitContainerStatuses {
		done := c.Ready
		if pods.IsSidecar(&o.Pod.Spec.InitContainers[n]) {
			done = c.Started != nil && *c.Started
		}
		if !done {
			open = append(open, c.Name)
		}
	}
	switch {
	case s.Phase == v1.PodSucceeded:
		return condition(v1.PodInitialized, true, "PodCompleted", "")
	case len(open) == 0 || anyStarted(s.ContainerStatuses):
		return condition(v1.PodInitialized, true, "", "")
	}
	return condition(v1.PodInitialized, false, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: %s", list(open)))
}

func (o Observation) containersReady(s v1.PodStatus) v1.PodCondition {
	var open []string
	for n, c := range s.InitContainerStatuses {
		if pods.IsSidecar(&o.Pod.Spec.InitContainers[n]) && !c.Ready {
			open = append(open, c.Name)
		}
	}
	for _, c := range s.ContainerStatuses {
		if !c.Ready {
			open = append(open, c.Name)
		}
	}
	switch {
	case s.Phase == v1.PodSucceeded:
		return condition(v1.ContainersReady, false, "PodCompleted", "")
	case s.Phase == v1.PodFailed || o.Failure != nil:
		return condition(v1.ContainersReady, false, "PodFailed", "")
	case len(open) == 0:
		return condition(v1.ContainersReady, true, "", "")
	}
	return condition(v1.ContainersReady, false, "ContainersNotReady", fmt.Sprintf("containers with unready status: %s", list(open)))
}

// podReady is ContainersReady and every readiness gate.
func (o Observation) podReady(containers v1.PodCondition) v1.PodCondition {
	containers.Type = v1.PodReady
	if containers.Status != v1.ConditionTrue {
		return containers
	}
	var open []string
	for _, gate := range o.Pod.Spec.ReadinessGates {
		_, c := podutil.GetPodConditionFromList(o.Pod.Status.Conditions, gate.ConditionType)
		switch {
		case c == nil:
			open = append(open, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case c.Status != v1.ConditionTrue:
			open = append(open, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, c.Status))
		}
	}
	if len(open) > 0 {
		return condition(v1.PodReady, false, "ReadinessGatesNotReady", strings.Join(open, ", "))
	}
	return containers
}

// list is how Go prints a list of names, which is what kubectl users know.
func list(names []string) string { return "[" + strings.Join(names, " ") + "]" }

// restarting is the condition of a Pod whose containers may all be restarted: it holds until
// those of the generation before have ended and the first of the new one is created.
func (o Observation) restarting() v1.PodCondition {
	begun, running := o.RestartGeneration == 0, false
	for _, i := range o.Have {
		if !i.IsSandbox() && pods.Ephemeral(o.Pod, i.ContainerName) == nil {
			begun = begun || i.RestartGeneration == o.RestartGeneration
			running = running || i.RestartGeneration < o.RestartGeneration && i.Running()
		}
	}
	if o.Finished || begun && !running {
		return condition(v1.AllContainersRestarting, false, "", "")
	}
	return condition(v1.AllContainersRestarting, true, "RestartAllContainersStarted", "container exited with restart policy rule")
}

// isResizeCondition tells of the conditions that only resizes set.
func isResizeCondition(kind v1.PodConditionType) bool {
	return kind == v1.PodResizePending || kind == v1.PodResizeInProgress
}
