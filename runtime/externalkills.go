package runtime

import (
	"context"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/plan"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// What is done to containers by hand reaches us in pieces: `docker rm --force` of all containers of a Pod ends them
// one by one, the sandbox at any place. Whatever is started in between is ended with its sandbox.

const (
	// externalKillPause is how long after a container was killed or removed by somebody else nothing of its Pod is
	// started. A kubelet does not look more often.
	externalKillPause = time.Second
	// sandboxEndTimeout is how long a sandbox may take to end after something failed to join its namespaces.
	sandboxEndTimeout = 200 * time.Millisecond
)

// noteExternalKills notes when somebody else killed or removed a container of the Pod.
func (s *podState) noteExternalKills(have []pods.Instance, now time.Time) {
	alive := map[string]bool{}
	for _, i := range have {
		if i.Running() {
			alive[i.ID] = true
			delete(s.alive, i.ID)
		} else if s.alive[i.ID] && (i.ExitCode != pods.KilledExitCode || i.OOMKilled) {
			delete(s.alive, i.ID) // it ended by itself
		}
	}
	for id := range s.alive {
		if s.stops[id] == nil {
			s.startsAfter = now.Add(externalKillPause)
		}
	}
	s.alive = alive
}

// startFailed finds out whether it is the container's own fault.
func (r *pipeline) startFailed(ctx context.Context, s plan.Start, id string, err error) outcome {
	o := outcome{container: s.Container.Name, waiting: pods.Waiting{Reason: "ContainerCreating"}}
	o.wake = r.now().Add(retryFirst)
	if !docker.IsUnavailable(err) && r.acts.endsNow(ctx, r.sandboxID) {
		if err := r.acts.removeContainer(ctx, id); err != nil { // it never ran, and its name is used again
			r.log.Warn("a container cannot be removed", "pod", r.state.ref, "container", s.Container.Name, "error", err)
		}
		return o
	}
	if _, known := r.acts.mirror.Get(id); !known { // somebody removed it before it was started
		return o
	}
	r.countStart(s, id)
	r.events.event(r.pod, s.Container, v1.EventTypeWarning, "Failed", "Error: %s", docker.Words(err))
	o.waiting = pods.Waiting{Reason: "RunContainerError", Message: docker.Words(err)}
	return o
}

// countStart has the next start of the container wait longer if another one ended before.
func (r *pipeline) countStart(s plan.Start, id string) {
	if last, ok := pods.LastEnded(r.acts.mirror.Pod(r.pod.UID), s.Container.Name, id); ok {
		r.crashes.started(pods.BackoffKey(r.pod, s.Container.Name), last.EndedAt())
	}
}
