package runtime

import (
	"context"
	"time"

	"github.com/kube-lite/kube-lite/runtime/plan"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
)

// cleanRetry is how soon a removal that failed is tried again.
const cleanRetry = 5 * time.Second

// terminate ends a Pod that is being deleted: its containers within the grace period,
// then what is left of it, then the object. Until then it is Terminating.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func (a *Agent) terminate(ctx context.Context, pod *v1.Pod, s *podState, have []pods.Instance) verdict {
	containers, _ := pods.Split(pods.Running(have))
	a.probes.keep(s.ref.UID, containers)
	a.cancelHooks(s)
	if !s.ended {
		a.report(ctx, pod, s, have, plan.Plan{Finished: len(containers) == 0})
	}
	if len(containers) > 0 {
		return a.again(a.endContainers(pod, s, have, plan.Ends(containers), a.graceLeft(pod)))
	}
	// Only the containers know how they ended: they go when the API knows it too.
	s.ended = true
	ref := s.ref
	if !a.statuses.Flush(ref.UID, func() { a.workers.enqueue(ref) }) {
		return verdict{}
	}
	if a.removeAll(ctx, have) || !a.groups().remove(s) || !a.removePodDir(s) {
		return verdict{after: cleanRetry}
	}
	a.statuses.Remove(ref)
	return verdict{}
}

// clean removes what is left of a Pod that the API does not know any more: it was
// deleted by force, or while nobody looked. Its containers get a moment to end all the same.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-forced
func (a *Agent) clean(ctx context.Context, s *podState, have []pods.Instance) verdict {
	a.probes.keep(s.ref.UID, nil)
	a.cancelHooks(s)
	if containers, _ := pods.Split(pods.Running(have)); len(containers) > 0 {
		pod := s.last.Load()
		if pod == nil {
			pod = &v1.Pod{} // of an earlier life: nothing but its containers is known
		}
		return a.again(a.endContainers(pod, s, have, plan.Ends(containers), 0))
	}
	if a.removeAll(ctx, have) || !a.groups().remove(s) || !a.removePodDir(s) {
		return verdict{after: cleanRetry}
	}
	a.statuses.Forget(s.ref.UID)
	a.tokens.Forget(s.ref.UID)
	a.evictions.Take(s.ref.UID)
	a.allocations.Release(s.ref.UID)
	if last := s.last.Load(); last != nil {
		a.crashes.forget(last)
	}
	return verdict{done: true}
}

// removePodDir removes the Pod's directory, with nothing mounted in it.
func (a *Agent) removePodDir(s *podState) bool {
	a.forgetVolumes(s)
	if err := volume.RemoveTree(a.dirs.Pod(s.ref.UID)); err != nil {
		a.log.Warn("a pod's directory cannot be removed", "pod", s.ref, "error", err)
		return false
	}
	return true
}

// graceLeft is what is left of the grace period that the deletion was asked for.
func (a *Agent) graceLeft(pod *v1.Pod) time.Duration {
	grace := pods.GracePeriod(pod)
	return max(0, min(grace, pod.DeletionTimestamp.Sub(a.now())+time.Second))
}
