package why

import (
	"time"

	v1 "k8s.io/api/core/v1"
)

// terminating explains a Pod that was deleted and is still there.
func (l *look) terminating(pod *v1.Pod) links {
	at := podObject(pod)
	// The timestamp is when it has to be gone, the grace period after the deletion.
	grace := time.Duration(deref(pod.DeletionGracePeriodSeconds)) * time.Second
	deleted := l.since(pod.DeletionTimestamp.Add(-grace))
	if runningContainers(pod) == 0 && len(pod.Finalizers) > 0 {
		return links{broken(at, "was deleted %s ago and stays until the finalizer %s is taken off by whoever put it there", deleted, list(pod.Finalizers)).
			seen("metadata.finalizers: " + list(pod.Finalizers)).
			mended(note(l.command(pod.Namespace, `patch pod/%s --type=merge -p '{"metadata":{"finalizers":null}}'`, pod.Name), "if nobody is left who would"))}
	}
	if found := l.nodeOf(pod); !found.well() {
		return append(links{waiting(at, "was deleted %s ago; its node has to end it", deleted)}, found...)
	}
	if left := pod.DeletionTimestamp.Sub(l.opts.Now()); left > 0 {
		text := "its containers were asked to end and have %s left before they are killed"
		if hasPreStop(pod) {
			text = "its preStop hook and its containers have %s left before they are killed"
		}
		return links{waiting(at, "was deleted %s ago; "+text, deleted, left.Round(time.Second)).
			seen(l.eventLines(1, l.events(pod.Namespace, pod.UID, "Killing", "FailedPreStopHook"))...).
			mended(note(l.command(pod.Namespace, "delete pod %s --grace-period=1", pod.Name), "if they need no time"))}
	}
	return links{waiting(at, "was deleted %s ago, its grace period of %v is over, and its node has not reported its end yet", deleted, grace).
		mended(l.command(pod.Namespace, "delete pod %s --force", pod.Name))}
}

func runningContainers(pod *v1.Pod) (n int) {
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Running != nil {
			n++
		}
	}
	return n
}

func hasPreStop(pod *v1.Pod) bool {
	for _, c := range pod.Spec.Containers {
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
			return true
		}
	}
	return false
}
