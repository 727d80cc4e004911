package runtime

import "github.com/kube-lite/kube-lite/runtime/images"

// enqueueWaitingForImages has the Pods looked at whose status says that they wait for an
// image: it may be here now, made by whoever sits at this machine.
func (a *Agent) enqueueWaitingForImages() {
	for _, pod := range a.allPods() {
		if images.Awaited(pod) {
			a.enqueuePod(pod)
		}
	}
}
