package runtime

import (
	"context"
	"time"

	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// project writes a volume's files, unless they are there already.
func (a *Agent) project(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume) (err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s.projected[v.Name], err = a.files.Project(ctx, pod, v, s.projected[v.Name])
	return err
}

// followSources writes anew what changed in the sources of a running Pod's volumes, and returns when to look
// again though nothing changed.
func (a *Agent) followSources(ctx context.Context, pod *v1.Pod, s *podState) (wake time.Time) {
	for _, v := range pod.Spec.Volumes {
		if files.IsProjection(v) {
			wake = pods.Earliest(wake, a.followSource(ctx, pod, s, v))
		}
	}
	return pods.Earliest(wake, a.tokens.Renewal(pod.UID))
}

// followSource leaves the files as they are while a source is missing, and tells so once: it is tried again
// whenever the Pod is looked at, which may be often.
func (a *Agent) followSource(ctx context.Context, pod *v1.Pod, s *podState, v v1.Volume) (retry time.Time) {
	what := "volume " + v.Name // no container's name has a space
	err := a.project(ctx, pod, s, v)
	if err == nil {
		s.succeeded(what)
		delete(s.outdated, v.Name)
		return time.Time{}
	}
	if ctx.Err() != nil { // the agent stops, and the files are as they were
		return time.Time{}
	}
	if s.outdated[v.Name] != err.Error() {
		s.outdated[v.Name] = err.Error()
		a.event(pod, nil, v1.EventTypeWarning, "FailedMount", "%v", &files.MountError{Volume: v.Name, Step: files.StepSetUp, Err: err})
	}
	if until, held := s.held(what, a.now()); held {
		return until
	}
	return s.failed(what, a.now())
}

// sourceChanged wakes the Pods that refer to a ConfigMap or Secret.
func (a *Agent) sourceChanged(namespace, name string, secret bool) {
	for _, pod := range a.allPods() {
		if pod.Namespace == namespace && files.RefersTo(pod, name, secret) {
			a.enqueuePod(pod)
		}
	}
}
