package runtime

import (
	"context"
	"time"

	"github.com/kube-lite/kube-lite/runtime/plan"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// syncPod brings one Pod closer to what is declared, and returns when to look again. It
// never waits for a pull or a stop: those are tasks, which enqueue the Pod when they end.
func (a *Agent) syncPod(ctx context.Context, s *podState) verdict {
	if !a.mirror.Ready() || a.stopping.Load() {
		return verdict{} // when Docker is back every Pod is enqueued
	}
	pod := a.declared(s.ref)
	have := a.mirror.Pod(s.ref.UID)
	s.noteExternalKills(have, a.now())
	s.forgetStops(have, a.now())
	if pod == nil {
		return a.clean(ctx, s, have)
	}
	s.last.Store(pod)
	pod = a.withReported(pod)
	if pod.DeletionTimestamp != nil {
		return a.terminate(ctx, pod, s, have)
	}
	a.warnUnsupported(pod, s)
	pod, held := a.allocate(ctx, pod, s, have)
	if !held.IsZero() {
		a.report(ctx, pod, s, have, plan.Plan{})
		return a.again(held)
	}
	a.runHooks(pod, s, have)
	a.followProbes(pod, s, have)
	a.checkEviction(pod, s)
	wake := a.checkDeadline(pod, s)
	wake = pods.Earliest(wake, a.resizeContainers(ctx, pod, s, have))
	have = a.mirror.Pod(s.ref.UID)
	p := a.decide(pod, s, have)
	if p.Finished {
		return a.finish(ctx, pod, s, have, p)
	}
	return a.drive(ctx, pod, s, have, p, wake)
}

// decide computes the plan of a Pod that may have to end.
func (a *Agent) decide(pod *v1.Pod, s *podState, have []pods.Instance) plan.Plan {
	if s.mustEnd(pod) {
		return plan.Plan{Finished: true, Remove: append(pods.Surplus(have), pods.Unstarted(have)...)}
	}
	return plan.Decide(pod, have, plan.View{Backoffs: a.crashes, Waiting: s.waiting, Health: a.healthOf(s), Renewed: s.renewed})
}

// drive acts on the plan of a Pod that shall run. It is looked at again at wake, or before.
func (a *Agent) drive(ctx context.Context, pod *v1.Pod, s *podState, have []pods.Instance, p plan.Plan, wake time.Time) verdict {
	wake = pods.Earliest(wake, a.noteBackoffs(pod, s, p))
	a.report(ctx, pod, s, have, p)
	if p.Sandbox.ID != "" {
		wake = pods.Earliest(wake, a.followSources(ctx, pod, s))
	}
	switch {
	case len(p.End) > 0:
		wake = pods.Earliest(wake, a.endContainers(pod, s, have, p.End, pods.GracePeriod(pod)))
	case len(p.Discard) > 0 && a.removeAll(ctx, p.Discard):
		wake = pods.Earliest(wake, a.now().Add(cleanRetry))
	case p.Starts() && a.now().Before(s.startsAfter):
		wake = pods.Earliest(wake, s.startsAfter)
	case p.Starts():
		if p.SandboxLost {
			a.event(pod, nil, v1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
		}
		wake = pods.Earliest(wake, a.start(ctx, pod, s, p))
		have = a.mirror.Pod(s.ref.UID)
		a.report(ctx, pod, s, have, a.decide(pod, s, have))
	}
	a.removeAll(ctx, p.Remove)
	return a.again(wake)
}

// finish ends what still runs of a Pod whose phase is final; the dead containers stay
// for their logs until the Pod is deleted.
func (a *Agent) finish(ctx context.Context, pod *v1.Pod, s *podState, have []pods.Instance, p plan.Plan) verdict {
	a.report(ctx, pod, s, have, p)
	if containers, _ := pods.Split(pods.Running(have)); len(containers) > 0 {
		return a.again(a.endContainers(pod, s, have, plan.Ends(containers), s.grace(pod)))
	}
	a.dropVolumes(s)
	a.allocations.EnqueueDeferred() // it made room
	_, sandboxes := pods.Split(have)
	if a.removeAll(ctx, append(p.Remove, sandboxes...)) || !a.groups().remove(s) {
		return verdict{after: cleanRetry}
	}
	return verdict{}
}

// noteBackoffs says which containers wait because they keep failing, and until when.
func (a *Agent) noteBackoffs(pod *v1.Pod, s *podState, p plan.Plan) (wake time.Time) {
	for _, b := range p.Backoff {
		c := pods.Container(pod, b.Container)
		w := pods.Waiting{Reason: "CrashLoopBackOff", Message: crashMessage(pod, b)}
		if s.waiting[b.Container] != w {
			a.event(pod, c, v1.EventTypeWarning, "BackOff",
				"Back-off restarting failed container %s in pod %s_%s(%s)", c.Name, pod.Name, pod.Namespace, pod.UID)
		}
		s.waiting[b.Container] = w
		wake = pods.Earliest(wake, b.Until)
	}
	return wake
}

func crashMessage(pod *v1.Pod, b plan.Backoff) string {
	return "back-off " + b.Delay.String() + " restarting failed container=" + b.Container +
		" pod=" + pod.Name + "_" + pod.Namespace + "(" + string(pod.UID) + ")"
}

// removeAll removes containers at once; what fails is tried again at the next sync.
func (a *Agent) removeAll(ctx context.Context, list []pods.Instance) (failed bool) {
	results := make(chan error, len(list))
	for _, i := range list {
		go func() { results <- a.acts.removeContainer(ctx, i.ID) }()
	}
	for range list {
		if err := <-results; err != nil {
			failed = true
			a.log.Warn("a container cannot be removed", "error", err)
		}
	}
	return failed
}

// declared finds the Pod in the API's informer, if it is this node's.
func (a *Agent) declared(ref pods.Ref) *v1.Pod {
	if ref.Name == "" {
		return nil
	}
	pod, err := a.pods.Pods(ref.Namespace).Get(ref.Name)
	if err != nil || pod.UID != ref.UID || pod.Spec.NodeName != a.opts.NodeName {
		return nil
	}
	return pod
}

// again turns a time into a verdict.
func (a *Agent) again(wake time.Time) verdict {
	if wake.IsZero() {
		return verdict{}
	}
	return verdict{after: max(wake.Sub(a.now()), time.Millisecond)}
}
