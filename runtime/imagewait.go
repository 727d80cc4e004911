package runtime

import v1 "k8s.io/api/core/v1"

// enqueueWaitingForImages has the Pods looked at whose status says that they wait for an
// image: it may be here now, made by whoever sits at this machine.
func (a *Agent) enqueueWaitingForImages() {
	for _, pod := range a.allPods() {
		if waitsForImage(pod.Status.InitContainerStatuses) || waitsForImage(pod.Status.ContainerStatuses) || waitsForImage(pod.Status.EphemeralContainerStatuses) {
			a.enqueuePod(pod)
		}
	}
}

func waitsForImage(list []v1.ContainerStatus) bool {
	for _, s := range list {
		if w := s.State.Waiting; w != nil {
			switch w.Reason {
			case reasonErrImageNeverPull, reasonErrImagePull, reasonImagePullBackOff:
				return true
			}
		}
	}
	return false
}
