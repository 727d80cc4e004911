package runtime

import (
	"context"
	"log/slog"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

// podGroups are the control groups of Pods. A Pod that declares resources of its own has a control group of its own, in which the
// engine makes those of its sandbox and containers. The kernel then bounds them together.
// https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/
type podGroups struct {
	instance  string
	cgroups   usage.Cgroups
	hugePages v1.ResourceList
	driver    func(ctx context.Context) (string, error) // the engine's, of control groups
	events    *eventLog
	log       *slog.Logger
}

func (a *Agent) groups() podGroups {
	return podGroups{a.opts.Instance, a.cgroups, a.node.Facts.HugePages, a.node.CgroupDriver, a.eventLog, a.log}
}

// of is the control group for a Pod's sandbox and containers; empty: the engine's
// default.
func (g podGroups) of(ctx context.Context, pod *v1.Pod) (string, error) {
	if !resourcehelper.IsPodLevelResourcesSet(pod) {
		return "", nil
	}
	driver, err := g.driver(ctx)
	if err != nil {
		return "", err
	}
	if driver != limits.DriverCgroupfs {
		return "", nil // bound says so
	}
	return limits.PodPath(g.instance, pod.UID), nil
}

// podBounds is what was last written to a Pod's group, and whose sandbox was in it.
type podBounds struct {
	sandboxID string
	docker.Resources
}

// bound writes a Pod's bounds to its group, if it has one. With widen it only takes away
// what is narrower: the containers of a Pod that is resized may still need the rest.
func (g podGroups) bound(pod *v1.Pod, s *podState, sandbox pods.Instance, widen bool) error {
	want := limits.OfPod(pod)
	if !sandbox.Running() || !resourcehelper.IsPodLevelResourcesSet(pod) || s.bounds == (podBounds{sandbox.ID, want}) {
		return nil
	}
	if sandbox.CgroupParent == "" {
		s.bounds = podBounds{sandbox.ID, want}
		g.unbounded(pod, "it has no control group of its own, for which it must declare them at its start, and Docker's cgroup driver be cgroupfs")
		return nil
	}
	group, err := limits.FindGroup(g.cgroups, sandbox)
	if err != nil {
		return err
	}
	written, err := group.Apply(pod, widen, g.hugePages)
	if err != nil {
		return err
	}
	s.bounds = podBounds{sandbox.ID, written}
	if dir, lacks := group.Lacks(written); lacks {
		g.unbounded(pod, "the kernel has no such control in "+dir)
	}
	return nil
}

// unbounded tells why a Pod is not bounded as a whole.
func (g podGroups) unbounded(pod *v1.Pod, why string) {
	g.events.event(pod, nil, v1.EventTypeWarning, "UnsupportedField", "spec.resources bounds each container but not the pod as a whole: %s", why)
}

// remove removes a Pod's group when its containers are gone.
func (g podGroups) remove(s *podState) bool {
	if err := limits.RemoveGroups(g.cgroups, limits.PodPath(g.instance, s.ref.UID)); err != nil {
		g.log.Warn("a pod's control group cannot be removed", "pod", s.ref, "error", err)
		return false
	}
	s.bounds = podBounds{}
	return true
}
