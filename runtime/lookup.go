package runtime

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// containerID finds the Docker container that stands for a Pod's container: the one of
// the latest attempt. An empty uid means whichever Pod of that name exists now. The
// errors are a kubelet's.
func (a *Agent) containerID(namespace, pod string, uid types.UID, container string) (string, error) {
	declared, err := a.pods.Pods(namespace).Get(pod)
	if err != nil {
		return "", fmt.Errorf("pod %q not found", pod)
	}
	if uid == "" {
		uid = declared.UID
	}
	id := ""
	for _, i := range a.mirror.pod(uid) { // oldest first
		if i.container == container {
			id = i.ID
		}
	}
	if id == "" {
		return "", fmt.Errorf("container %q in pod %q is not available", container, pod)
	}
	return id, nil
}
