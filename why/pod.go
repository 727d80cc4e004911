package why

import (
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

func podObject(pod *v1.Pod) Object { return Object{"Pod", pod.Namespace, pod.Name} }

// pod follows a Pod through its life: admitted, bound to a node, its volumes, its init containers, its containers.
func (l *look) pod(pod *v1.Pod) links {
	at := podObject(pod)
	switch {
	case pod.DeletionTimestamp != nil:
		return l.terminating(pod)
	case pod.Status.Phase == v1.PodSucceeded:
		return links{well(at, "is done: all its containers ended with success")}
	case pod.Status.Phase == v1.PodFailed:
		return l.failedPod(pod)
	case pod.Spec.NodeName == "":
		return l.unscheduled(pod)
	}
	first := well(at, "is on node %s", pod.Spec.NodeName)
	if ready := condition(pod, v1.PodReady); ready != nil && ready.Status == v1.ConditionTrue {
		first.Sentence = "is ready, on node " + pod.Spec.NodeName
		if unsteady := l.unsteady(pod); len(unsteady) > 0 {
			return led(first, unsteady)
		}
		return links{first}
	}
	for _, step := range []func(*v1.Pod) links{l.nodeOf, l.sandbox, l.volumes, l.initContainers, l.containers, l.readinessGates} {
		if found := step(pod); !found.well() {
			return led(first, found)
		}
	}
	return links{waiting(at, "is not ready yet; nothing is known to be wrong with it").seen(l.eventLines(2, l.events(pod.Namespace, pod.UID))...)}
}

func condition(pod *v1.Pod, kind v1.PodConditionType) *v1.PodCondition {
	for n := range pod.Status.Conditions {
		if pod.Status.Conditions[n].Type == kind {
			return &pod.Status.Conditions[n]
		}
	}
	return nil
}

// failedPod explains a Pod that has ended for good.
func (l *look) failedPod(pod *v1.Pod) links {
	at := podObject(pod)
	switch pod.Status.Reason {
	case "":
	case "Evicted":
		return links{broken(at, "was evicted from node %s: %s", pod.Spec.NodeName, firstLine(pod.Status.Message)).
			seen(l.eventLines(1, l.events(pod.Namespace, pod.UID, "Evicted"))...).
			mended(l.command(pod.Namespace, "delete pod %s", pod.Name))}
	case "DeadlineExceeded":
		return links{broken(at, "was ended since it ran longer than its activeDeadlineSeconds, %d", deref(pod.Spec.ActiveDeadlineSeconds)).
			mended(l.edited(pod, "give it a longer spec.activeDeadlineSeconds"))}
	case "OutOfcpu", "OutOfmemory", "OutOfpods", "NodeAffinity", "NodePorts", "UnexpectedAdmissionError", "SysctlForbidden", "Unsupported":
		return links{l.refusedPod(pod)}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			return links{l.exited(pod, s, t, false)}
		}
	}
	return links{broken(at, "has failed: %s", orElse(strings.TrimSpace(pod.Status.Reason+" "+pod.Status.Message), "its status does not say why"))}
}

// sandbox explains why a Pod has no network or no sandbox.
func (l *look) sandbox(pod *v1.Pod) links {
	if pod.Status.PodIP != "" {
		return nil
	}
	if failed := l.events(pod.Namespace, pod.UID, "FailedCreatePodSandBox"); len(failed) > 0 {
		return links{broken(podObject(pod), "its sandbox, which holds the pod's network, cannot be made: %s",
			firstLine(strings.TrimPrefix(failed[0].Message, "Failed to create pod sandbox: "))).seen(l.eventLine(failed[0]))}
	}
	return nil
}

// readinessGates explains a Pod whose containers are ready and that waits for a condition of others.
func (l *look) readinessGates(pod *v1.Pod) links {
	for _, gate := range pod.Spec.ReadinessGates {
		c := condition(pod, gate.ConditionType)
		if c != nil && c.Status == v1.ConditionTrue {
			continue
		}
		state := "which nobody has set"
		if c != nil {
			state = "which is " + string(c.Status)
		}
		return links{broken(podObject(pod), "its containers are ready, but it waits for its readiness gate, the condition %s, %s", gate.ConditionType, state).
			seen("spec.readinessGates: " + string(gate.ConditionType))}
	}
	return nil
}

func deref[N any](p *N) (n N) {
	if p != nil {
		n = *p
	}
	return n
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
