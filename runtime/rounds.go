package runtime

import (
	"fmt"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// A container may end in a way upon which all containers of its Pod are restarted, the init
// containers too; the sandbox and the volumes stay. A label of each container tells in which
// round of that it was created: those of earlier rounds end, and others follow them, as by a
// kubelet without back-off.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-all-containers

// roundOf is the round that a Pod is in: 0 until such a container ends.
func roundOf(pod *v1.Pod, have []instance) (round int) {
	for _, i := range have {
		round = max(round, i.round)
		c := findContainer(pod, i.container)
		if c != nil && ended(i) && restartsAll(c, i.ExitCode) && !(isSidecar(c) && endedWithPod(pod, have, i)) {
			round = max(round, i.round+1)
		}
	}
	return round
}

// endedWithPod tells that the Pod was over when a sidecar ended: it was told to then, and
// whatever it ends with restarts nothing.
func endedWithPod(pod *v1.Pod, have []instance, sidecar instance) bool {
	d := decision{plan: plan{round: sidecar.round}, pod: pod, have: have, latest: map[string]instance{}}
	for _, i := range have {
		if ended(i) && finishedAt(i).After(finishedAt(sidecar)) { // it ran then
			i.Status = docker.StatusRunning
		}
		d.latest[i.container] = i
	}
	return d.podFinished()
}

// restartsAll tells whether all containers are restarted upon that exit code of one.
func restartsAll(c *v1.Container, exitCode int) bool {
	rule, found := podutil.FindMatchingContainerRestartRule(*c, int32(exitCode))
	return found && rule.Action == v1.ContainerRestartRuleActionRestartAllContainers
}

// endOfRound ends a container for another's sake: at once, and without its preStop hook.
func endOfRound(i instance) ending {
	return ending{instance: i, why: fmt.Sprintf("Container %s is restarted with all containers of the pod", i.container), grace: new(int64), renew: true}
}

// restarting is the condition of a Pod whose containers may all be restarted: it holds until
// those of the round before have ended and the first of the new one is created.
func (o observation) restarting() v1.PodCondition {
	begun, running := o.round == 0, false
	for _, i := range o.have {
		if !i.isSandbox() && ephemeral(o.pod, i.container) == nil {
			begun = begun || i.round == o.round
			running = running || i.round < o.round && i.Running()
		}
	}
	if o.finished || begun && !running {
		return condition(v1.AllContainersRestarting, false, "", "")
	}
	return condition(v1.AllContainersRestarting, true, "RestartAllContainersStarted", "container exited with restart policy rule")
}
