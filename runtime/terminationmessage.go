package runtime

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/util/tail"
)

// How much of a termination message is kept, in bytes and lines.
// https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
const (
	messageLimit    = 4096
	messagesLimit   = 12 << 10 // of all containers of a Pod
	messageLogLimit = 2048     // of an end of a log
	messageLogLines = 80
)

// messagesDir holds the termination messages of a Pod's containers, in its directory.
const messagesDir = "containers"

// messagePath is the file that one run of a container may write its termination message to.
func (a *Agent) messagePath(uid types.UID, container string, attempt int) string {
	return filepath.Join(a.dirs.Pod(uid), messagesDir, container, strconv.Itoa(attempt))
}

// messageMount makes that file and mounts it; ok is false if the container has none.
func (a *Agent) messageMount(pod *v1.Pod, c *v1.Container, attempt int) (m docker.Mount, ok bool, err error) {
	if c.TerminationMessagePath == "" {
		return m, false, nil
	}
	path := a.messagePath(pod.UID, c.Name, attempt)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return m, false, err
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return m, false, err
	}
	// Any user may be the container's, whatever the daemon's umask says.
	if err := os.Chmod(path, 0o666); err != nil {
		return m, false, err
	}
	return docker.Mount{Source: path, Target: absolute(c.TerminationMessagePath)}, true, nil
}

// terminationMessage finds the message of a container of the Pod that ended: its file or, if that is empty, the
// container failed and declares so, the end of its log.
func (a *Agent) terminationMessage(pod *v1.Pod, s *podState) func(pods.Instance) string {
	limit := messagesLimit / max(1, len(pods.AllContainers(pod)))
	return func(i pods.Instance) string {
		words := a.messageFile(i)
		c := pods.Container(pod, i.ContainerName)
		if words == "" && c != nil && c.TerminationMessagePolicy == v1.TerminationMessageFallbackToLogsOnError && i.ExitCode != 0 && !i.StartedAt.IsZero() {
			words = a.logEnd(s, i)
		}
		return words[:min(len(words), limit)]
	}
}

// messageFile reads the end of a container's file.
func (a *Agent) messageFile(i pods.Instance) string {
	words, _, err := tail.ReadAtMost(a.messagePath(i.Pod.UID, i.ContainerName, i.Attempt), messageLimit)
	if err != nil {
		return ""
	}
	return string(words)
}

// logEnd reads the end of a container's log once.
func (a *Agent) logEnd(s *podState, i pods.Instance) string {
	if words, known := s.logEnds[i.ID]; known {
		return words
	}
	ctx, cancel := context.WithTimeout(context.Background(), docker.QueryTimeout)
	defer cancel()
	words, err := a.engine.Tail(ctx, i.ID, messageLogLines, messageLogLimit)
	if err != nil {
		a.log.Warn("the end of a container's log cannot be read", "pod", i.Pod, "container", i.ContainerName, "error", err)
	}
	s.logEnds[i.ID] = words
	return words
}
