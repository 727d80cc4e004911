package runtime

import (
	"context"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// A Pod that declares resources of its own has a control group of its own, in which the
// engine makes those of its sandbox and containers. The kernel then bounds them together.
// https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/

// groupOf is the control group for a Pod's sandbox and containers; empty: the engine's
// default.
func (a *Agent) groupOf(ctx context.Context, pod *v1.Pod) (string, error) {
	if !resourcehelper.IsPodLevelResourcesSet(pod) {
		return "", nil
	}
	driver, err := a.node.CgroupDriver(ctx)
	if err != nil {
		return "", err
	}
	if driver != limits.DriverCgroupfs {
		return "", nil // boundPod says so
	}
	return limits.PodPath(a.opts.Instance, pod.UID), nil
}

// podBounds is what was last written to a Pod's group, and whose sandbox was in it.
type podBounds struct {
	sandboxID string
	docker.Resources
}

// boundPod writes a Pod's bounds to its group, if it has one. With widen it only takes away
// what is narrower: the containers of a Pod that is resized may still need the rest.
func (a *Agent) boundPod(pod *v1.Pod, s *podState, sandbox pods.Instance, widen bool) error {
	want := limits.OfPod(pod)
	if !sandbox.Running() || !resourcehelper.IsPodLevelResourcesSet(pod) || s.bounds == (podBounds{sandbox.ID, want}) {
		return nil
	}
	if sandbox.CgroupParent == "" {
		s.bounds = podBounds{sandbox.ID, want}
		a.unbounded(pod, "it has no control group of its own, for which it must declare them at its start, and Docker's cgroup driver be cgroupfs")
		return nil
	}
	group, err := limits.FindGroup(a.cgroups, sandbox)
	if err != nil {
		return err
	}
	written, err := group.Apply(pod, widen, a.node.Facts.HugePages)
	if err != nil {
		return err
	}
	s.bounds = podBounds{sandbox.ID, written}
	if dir, lacks := group.Lacks(written); lacks {
		a.unbounded(pod, "the kernel has no such control in "+dir)
	}
	return nil
}

// unbounded tells why a Pod is not bounded as a whole.
func (a *Agent) unbounded(pod *v1.Pod, why string) {
	a.event(pod, nil, v1.EventTypeWarning, "UnsupportedField", "spec.resources bounds each container but not the pod as a whole: %s", why)
}

// removeGroup removes a Pod's group when its containers are gone.
func (a *Agent) removeGroup(s *podState) bool {
	if err := limits.RemoveGroups(a.cgroups, limits.PodPath(a.opts.Instance, s.ref.UID)); err != nil {
		a.log.Warn("a pod's control group cannot be removed", "pod", s.ref, "error", err)
		return false
	}
	s.bounds = podBounds{}
	return true
}
