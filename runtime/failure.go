package runtime

import (
	"time"

	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// reasonDeadlineExceeded is the failure of a Pod that ran too long.
const reasonDeadlineExceeded = "DeadlineExceeded"

// lastingFailures are the reasons of failures that are found in the Pod's status again
// when the agent ended before all containers had.
var lastingFailures = map[string]bool{reasonDeadlineExceeded: true, limits.ReasonEvicted: true}

// A Pod may end before its containers do: its deadline passed, it was evicted, or the node cannot take it. That becomes
// the reason and message of its status.

// fail ends the Pod for good: its containers get their grace period and none is started
// again; when they have ended its phase is Failed. The first failure is the one that is
// told. Only the Pod's worker may call it, before it decides.
func (s *podState) fail(reason, message string) {
	if s.failure == nil {
		s.failure = &pods.Reason{Reason: reason, Message: message}
	}
}

// mustEnd tells whether the Pod must end, also of one whose end began in an earlier life
// of the agent.
func (s *podState) mustEnd(pod *v1.Pod) bool {
	if s.failure == nil && lastingFailures[pod.Status.Reason] {
		s.fail(pod.Status.Reason, pod.Status.Message)
	}
	return s.failure != nil
}

// grace is what the containers of a Pod get that is over: no more than a second if it is
// over because it took too much.
func (s *podState) grace(pod *v1.Pod) time.Duration {
	if s.failure != nil && s.failure.Reason == limits.ReasonEvicted {
		return min(limits.EvictionGrace, pods.GracePeriod(pod))
	}
	return pods.GracePeriod(pod)
}

// checkDeadline fails a Pod that was active for longer than it may be, and returns when
// that will be.
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup
func (a *Agent) checkDeadline(pod *v1.Pod, s *podState) (wake time.Time) {
	limit, started := pod.Spec.ActiveDeadlineSeconds, pod.Status.StartTime
	if limit == nil || started == nil || pods.IsFinal(pod.Status.Phase) {
		return time.Time{}
	}
	due := started.Add(time.Duration(*limit) * time.Second)
	if a.now().Before(due) {
		return due
	}
	if s.failure == nil {
		a.event(pod, nil, v1.EventTypeNormal, reasonDeadlineExceeded, "Pod was active on the node longer than the specified deadline")
	}
	s.fail(reasonDeadlineExceeded, "Pod was active on the node longer than the specified deadline")
	return time.Time{}
}

// checkEviction fails a Pod that was found to take too much.
// https://kubernetes.io/docs/concepts/storage/ephemeral-storage/#how-pods-with-ephemeral-storage-limits-run
func (a *Agent) checkEviction(pod *v1.Pod, s *podState) {
	message, due := a.evictions.Take(pod.UID)
	if !due || s.failure != nil || pods.IsFinal(pod.Status.Phase) {
		return
	}
	a.event(pod, nil, v1.EventTypeWarning, limits.ReasonEvicted, "%s", message)
	s.fail(limits.ReasonEvicted, message)
}
