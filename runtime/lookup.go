package runtime

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// containerID finds the Docker container that stands for a Pod's container: the one
// of the latest attempt or, for previous, the last one that ended before it. An empty
// uid means whichever Pod of that name exists now. The errors are a kubelet's.
func (a *Agent) containerID(namespace, pod string, uid types.UID, container string, previous bool) (string, error) {
	declared, err := a.pods.Pods(namespace).Get(pod)
	if err != nil {
		return "", fmt.Errorf("pod %q not found", pod)
	}
	if uid == "" {
		uid = declared.UID
	}
	var attempts []instance
	for _, i := range a.mirror.pod(uid) {
		if i.container == container {
			attempts = append(attempts, i)
		}
	}
	if previous {
		if len(attempts) < 2 {
			return "", fmt.Errorf("previous terminated container %q in pod %q not found", container, pod)
		}
		return attempts[len(attempts)-2].ID, nil
	}
	if len(attempts) == 0 {
		return "", fmt.Errorf("container %q in pod %q is not available", container, pod)
	}
	return attempts[len(attempts)-1].ID, nil
}
