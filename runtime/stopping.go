package runtime

import (
	"context"
	"maps"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/plan"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// leastGrace is what a container gets to end, however short its grace period is and
// whatever its preStop hook, or the containers that end before it, took of it; a kubelet's.
const leastGrace = 2 * time.Second

// stopping is how far a running container is on the way to its end: preStop, its turn,
// stop signal, SIGKILL.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-flow
type stopping struct {
	due  time.Time     // when its grace period is over
	hook chan struct{} // closed when its preStop hook has ended; nil: there is none
	sent bool          // Docker is asked to stop it
}

func (st *stopping) hooking() bool {
	if st.hook == nil {
		return false
	}
	select {
	case <-st.hook:
		return false
	default:
		return true
	}
}

// endContainers brings containers closer to their end, and returns when to look again.
// It is called until they have ended; less grace than before makes it faster.
func (a *Agent) endContainers(pod *v1.Pod, s *podState, have []pods.Instance, list []plan.End, grace time.Duration) time.Time {
	podIP := a.addressOf(pod, have)
	for _, e := range list {
		own := grace
		if e.Grace != nil {
			own = time.Duration(*e.Grace) * time.Second
		}
		st := a.beginEnd(pod, s, e, podIP, own)
		if due := a.now().Add(max(own, leastGrace)); due.Before(st.due.Add(-time.Second)) {
			st.due, st.sent = due, false
		}
	}
	for _, e := range list {
		if st := s.stops[e.ID]; !st.sent {
			a.continueEnd(pod, s, e, st, list)
		}
	}
	return s.stopsDue(a.now())
}

// beginEnd tells of the end, and starts the preStop hook.
func (a *Agent) beginEnd(pod *v1.Pod, s *podState, e plan.End, podIP string, grace time.Duration) *stopping {
	if st := s.stops[e.ID]; st != nil {
		return st
	}
	st := &stopping{due: a.now().Add(grace)}
	s.stops[e.ID] = st
	s.renewed[e.ID] = e.Renew
	a.probes.stopLiveness(e.ID)
	c := pods.Container(pod, e.ContainerName)
	if e.Why != "" {
		a.event(pod, c, v1.EventTypeNormal, "Killing", "%s", e.Why)
	} else if c != nil {
		a.event(pod, c, v1.EventTypeNormal, "Killing", "Stopping container %s", c.Name)
	}
	if !hasPreStop(c) || grace <= 0 {
		return st
	}
	ref, done := s.ref, make(chan struct{})
	if a.tasks.start(func(ctx context.Context) {
		a.preStop(ctx, pod, c, e.Instance, podIP, grace)
		close(done)
		a.workers.enqueue(ref)
	}) {
		st.hook = done
	}
	return st
}

// continueEnd sends the stop signal when it is time.
func (a *Agent) continueEnd(pod *v1.Pod, s *podState, e plan.End, st *stopping, list []plan.End) {
	left := st.due.Sub(a.now())
	if left > 0 && (st.hooking() || !itsTurn(pod, e.Instance, list)) {
		return
	}
	left = max(left, leastGrace)
	st.sent, st.due = true, a.now().Add(left)
	a.stopContainer(e.Instance, left)
}

// itsTurn: sidecars end after all other containers, the last one first.
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#termination
func itsTurn(pod *v1.Pod, i pods.Instance, list []plan.End) bool {
	own := sidecarIndex(pod, i.ContainerName)
	if own < 0 {
		return true
	}
	for _, other := range list {
		if n := sidecarIndex(pod, other.ContainerName); other.ID != i.ID && (n < 0 || n > own) {
			return false
		}
	}
	return true
}

// sidecarIndex is the place among the init containers of a sidecar, or -1.
func sidecarIndex(pod *v1.Pod, name string) int {
	for n := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[n]; c.Name == name && pods.IsSidecar(c) {
			return n
		}
	}
	return -1
}

// stopContainer stops a container in the background; the event of its end wakes the Pod.
func (a *Agent) stopContainer(i pods.Instance, grace time.Duration) {
	a.tasks.start(func(ctx context.Context) {
		err := a.engine.Stop(ctx, i.ID, grace)
		if err == nil || ctx.Err() != nil {
			return // the event of its end tells the rest
		}
		if !docker.IsNotFound(err) && !docker.IsConflict(err) { // it is gone, or ended already
			a.log.Warn("a container cannot be stopped", "pod", i.Pod, "container", i.ContainerName, "error", err)
		}
		if _, err := a.mirror.Refresh(ctx, i.ID); err != nil {
			a.workers.enqueue(i.Pod)
		}
	})
}

// forgetStops drops the stops of containers that ended, and those that Docker did not
// answer in time: they are asked for again.
func (s *podState) forgetStops(have []pods.Instance, now time.Time) {
	alive := map[string]bool{}
	for _, i := range have {
		alive[i.ID] = i.Running()
	}
	maps.DeleteFunc(s.renewed, func(id string, _ bool) bool { _, known := alive[id]; return !known })
	for id, st := range s.stops {
		switch {
		case !alive[id]:
			delete(s.stops, id)
		case st.sent && now.After(st.due.Add(docker.KillTimeout)):
			st.sent = false
		}
	}
}

// stopsDue is when the first stop under way has to be looked at again. One that was due and is not sent is of a
// container that need not end any more.
func (s *podState) stopsDue(now time.Time) (due time.Time) {
	for _, st := range s.stops {
		at := st.due
		if st.sent {
			at = at.Add(docker.KillTimeout + time.Second)
		}
		if at.After(now) {
			due = pods.Earliest(due, at)
		}
	}
	return due
}
