package runtime

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

// cleanRetry is how soon a removal that failed is tried again.
const cleanRetry = 5 * time.Second

// terminate ends a Pod that is being deleted: its containers within the grace period,
// then what is left of it, then the object. Until then it is Terminating.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
func (a *Agent) terminate(ctx context.Context, pod *v1.Pod, s *podState, have []instance) verdict {
	containers, _ := split(running(have))
	for _, i := range containers {
		c := findContainer(pod, i.container)
		if _, under := s.stops[i.ID]; !under {
			a.event(pod, c, v1.EventTypeNormal, "Killing", "Stopping container %s", i.container)
		}
		a.stopContainer(s, i, a.graceLeft(pod))
	}
	if !s.ended {
		a.report(pod, s, have, plan{finished: len(containers) == 0})
	}
	if len(containers) > 0 {
		return a.again(s.stopsDue())
	}
	// Only the containers know how they ended: they go when the API knows it too.
	s.ended = true
	ref := s.ref
	if !a.statuses.flush(ref.uid, func() { a.workers.poke(ref) }) {
		return verdict{}
	}
	if a.removeAll(ctx, have) || !a.removePodDir(s) {
		return verdict{after: cleanRetry}
	}
	a.statuses.remove(ref)
	return verdict{}
}

// clean removes what is left of a Pod that the API does not know any more: it was
// deleted by force, or while nobody looked.
func (a *Agent) clean(ctx context.Context, s *podState, have []instance) verdict {
	if a.removeAll(ctx, have) || !a.removePodDir(s) {
		return verdict{after: cleanRetry}
	}
	a.statuses.forget(s.ref.uid)
	if s.last != nil {
		a.crashes.forget(s.last)
	}
	return verdict{done: true}
}

// removePodDir removes the Pod's directory, with nothing mounted in it.
func (a *Agent) removePodDir(s *podState) bool {
	s.prepared, s.projected = false, map[string]fileSet{}
	if err := removeTree(a.podDir(s.ref.uid)); err != nil {
		a.log.Warn("a pod's directory cannot be removed", "pod", s.ref, "error", err)
		return false
	}
	return true
}

// removeTree unmounts what is mounted below a directory and removes it.
func removeTree(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// graceLeft is what is left of the grace period that the deletion was asked for.
func (a *Agent) graceLeft(pod *v1.Pod) time.Duration {
	grace := gracePeriod(pod)
	return max(0, min(grace, pod.DeletionTimestamp.Sub(a.now())+time.Second))
}

// gracePeriod is the one that the deletion asked for, or else the Pod's.
func gracePeriod(pod *v1.Pod) time.Duration {
	switch {
	case pod.DeletionGracePeriodSeconds != nil:
		return time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		return time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	return v1.DefaultTerminationGracePeriodSeconds * time.Second
}

// forgetStops drops the stops of containers that ended, and those that Docker did not
// answer in time: they are asked for again.
func (s *podState) forgetStops(have []instance) {
	alive := map[string]bool{}
	for _, i := range have {
		alive[i.ID] = i.Running()
	}
	for id, until := range s.stops {
		if !alive[id] || time.Now().After(until.Add(docker.KillTimeout)) {
			delete(s.stops, id)
		}
	}
}

// stopsDue is when the first stop under way should have ended.
func (s *podState) stopsDue() (due time.Time) {
	for _, until := range s.stops {
		due = earliest(due, until.Add(docker.KillTimeout+time.Second))
	}
	return due
}
