package runtime

import (
	"context"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// How much of a termination message is kept, in bytes and lines.
// https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
const (
	messagesLimit   = 12 << 10 // of all containers of a Pod
	messageLogLimit = 2048     // of an end of a log
	messageLogLines = 80
)

// terminationMessage finds the message of a container of the Pod that ended: its file or, if that is empty, the
// container failed and declares so, the end of its log.
func (a *Agent) terminationMessage(ctx context.Context, pod *v1.Pod, s *podState) func(pods.Instance) string {
	limit := messagesLimit / max(1, len(pods.AllContainers(pod)))
	return func(i pods.Instance) string {
		words := a.files.Message(i)
		c := pods.Container(pod, i.ContainerName)
		if words == "" && c != nil && c.TerminationMessagePolicy == v1.TerminationMessageFallbackToLogsOnError && i.ExitCode != 0 && !i.StartedAt.IsZero() {
			words = a.logEnd(ctx, s, i)
		}
		return words[:min(len(words), limit)]
	}
}

// logEnd reads the end of a container's log once.
func (a *Agent) logEnd(ctx context.Context, s *podState, i pods.Instance) string {
	if words, known := s.logEnds[i.ID]; known {
		return words
	}
	ctx, cancel := context.WithTimeout(ctx, docker.QueryTimeout)
	defer cancel()
	words, err := a.engine.Tail(ctx, i.ID, messageLogLines, messageLogLimit)
	if err != nil {
		a.log.Warn("the end of a container's log cannot be read", "pod", i.Pod, "container", i.ContainerName, "error", err)
	}
	s.logEnds[i.ID] = words
	return words
}
