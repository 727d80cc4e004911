package runtime

import (
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// messageLimit is how much of a termination message is kept.
// https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
const messageLimit = 4096

// messagePath is the file that one run of a container may leave its last words in.
func (a *Agent) messagePath(uid types.UID, container string, attempt int) string {
	return filepath.Join(a.podDir(uid), "containers", container, strconv.Itoa(attempt))
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

// lastWords reads what a container that ended left.
func (a *Agent) lastWords(i instance) string {
	f, err := os.Open(a.messagePath(i.ref.uid, i.container, i.attempt))
	if err != nil {
		return ""
	}
	defer f.Close()
	words, err := io.ReadAll(io.LimitReader(f, messageLimit))
	if err != nil {
		return ""
	}
	return string(words)
}
