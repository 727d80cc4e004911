package plan

import (
	"fmt"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// A container may end in a way upon which all containers of its Pod are restarted, the init
// containers too; the sandbox and the volumes stay. Each restart of all begins a new
// restart generation, and a label of each container says of which it is: those of earlier ones end, and others follow
// them, as by a kubelet without back-off.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-all-containers

// restartGenerationOf is how often all containers of a Pod were restarted, or have to be.
func restartGenerationOf(pod *v1.Pod, have []pods.Instance) (generation int) {
	for _, i := range have {
		generation = max(generation, i.RestartGeneration)
		c := pods.Container(pod, i.ContainerName)
		if c != nil && i.Ended() && pods.RestartsAllContainers(c, i.ExitCode) && !(pods.IsSidecar(c) && endedWithPod(pod, have, i)) {
			generation = max(generation, i.RestartGeneration+1)
		}
	}
	return generation
}

// endedWithPod tells that the Pod was over when a sidecar ended: it was told to then, and
// whatever it ends with restarts nothing.
func endedWithPod(pod *v1.Pod, have []pods.Instance, sidecar pods.Instance) bool {
	d := decision{Plan: Plan{RestartGeneration: sidecar.RestartGeneration}, pod: pod, have: have, latest: map[string]pods.Instance{}}
	for _, i := range have {
		if i.Ended() && i.EndedAt().After(sidecar.EndedAt()) { // it ran then
			i.Status = docker.StatusRunning
		}
		d.latest[i.ContainerName] = i
	}
	return d.podFinished()
}

// endForRestart ends a container for another's sake: at once, and without its preStop hook.
func endForRestart(i pods.Instance) End {
	return End{Instance: i, Why: fmt.Sprintf("Container %s is restarted with all containers of the pod", i.ContainerName),
		Grace: new(int64), Renew: true}
}
