package files

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/util/tail"
)

// messageLimit is how much of a container's file is read, in bytes.
const messageLimit = 4096

// MessagesDir holds the termination messages of a Pod's containers, in its directory.
const MessagesDir = "containers"

// MessagePath is the file that one run of a container may write its termination message to.
func (f *Files) MessagePath(uid types.UID, container string, attempt int) string {
	return filepath.Join(f.config.Dirs.Pod(uid), MessagesDir, container, strconv.Itoa(attempt))
}

// MessageMount makes that file and mounts it; ok is false if the container has none.
func (f *Files) MessageMount(pod *v1.Pod, c *v1.Container, attempt int) (m docker.Mount, ok bool, err error) {
	if c.TerminationMessagePath == "" {
		return m, false, nil
	}
	path := f.MessagePath(pod.UID, c.Name, attempt)
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

// Message reads the end of a container's file.
func (f *Files) Message(i pods.Instance) string {
	words, _, err := tail.ReadAtMost(f.MessagePath(i.Pod.UID, i.ContainerName, i.Attempt), messageLimit)
	if err != nil {
		return ""
	}
	return string(words)
}
