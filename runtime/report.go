package runtime

import (
	"context"

	"github.com/kube-lite/kube-lite/runtime/plan"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
)

// report computes the Pod's status and has it written if it changed.
func (a *Agent) report(ctx context.Context, pod *v1.Pod, s *podState, have []pods.Instance, p plan.Plan) {
	o := status.Observation{
		Pod: pod, Have: have, Waiting: s.waiting, Finished: p.Finished, Failure: s.failure, Held: s.rejected,
		HostIPs: a.hostIPs(), ImageID: func(id string) string { return a.images.ID(s.ref, id) }, Message: a.terminationMessage(ctx, pod, s),
		Health: a.healthOf(s), Renewed: s.renewed, RestartGeneration: p.RestartGeneration, Resize: s.resize.Conditions(), Now: a.now(),
	}
	for _, i := range have {
		if i.IsSandbox() && i.Running() {
			o.Sandbox, o.PodIPs = true, a.bridge().podIPs(pod, i)
		}
	}
	a.statuses.Set(pods.RefOf(pod), o.Status())
}

// withReported returns the Pod with the newest status of its containers: the API may not have it yet, and of containers
// that were removed meanwhile nobody else knows.
func (a *Agent) withReported(pod *v1.Pod) *v1.Pod {
	status, ok := a.statuses.Latest(pod.UID)
	if !ok {
		return pod
	}
	out := *pod
	out.Status.InitContainerStatuses = status.InitContainerStatuses
	out.Status.ContainerStatuses = status.ContainerStatuses
	out.Status.EphemeralContainerStatuses = status.EphemeralContainerStatuses
	return &out
}
