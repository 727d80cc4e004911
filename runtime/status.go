package runtime

import (
	"time"

	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
	"k8s.io/utils/ptr"
)

// observation is all that a Pod's status is computed from.
type observation struct {
	pod               *v1.Pod // with the status that the API has
	have              []pods.Instance
	waiting           map[string]pods.Waiting
	finished          bool     // no container will run again
	failure           *failure // ends the Pod; nil: nothing does
	held              *rejection
	sandbox           bool     // a sandbox runs
	podIPs            pods.IPs // none yet: empty
	hostIPs           pods.IPs
	imageID           func(id string) string     // how an image is shown
	message           func(pods.Instance) string // what a container that ended left to say
	health            func(*v1.Container, pods.Instance) pods.Health
	renewed           map[string]bool   // containers that start again whatever they ended with, by ID
	restartGeneration int               // of what is started; see restartGenerationOf
	resize            []v1.PodCondition // those of a resize
	now               time.Time
}

// report computes the Pod's status and has it written if it changed.
func (a *Agent) report(pod *v1.Pod, s *podState, have []pods.Instance, p plan) {
	o := observation{
		pod: pod, have: have, waiting: s.waiting, finished: p.finished, failure: s.failure, held: s.rejected,
		hostIPs: a.hostIPs(), imageID: func(id string) string { return a.images.ID(s.ref, id) }, message: a.terminationMessage(pod, s), health: a.healthOf(s), renewed: s.renewed, restartGeneration: p.restartGeneration, resize: s.resize.conditions(), now: a.now(),
	}
	for _, i := range have {
		if i.IsSandbox() && i.Running() {
			o.sandbox, o.podIPs = true, a.podIPs(pod, i)
		}
	}
	a.statuses.set(pods.RefOf(pod), o.status())
}

// withReported returns the Pod with the newest status of its containers: the API may not have it yet, and of containers
// that were removed meanwhile nobody else knows.
func (a *Agent) withReported(pod *v1.Pod) *v1.Pod {
	status, ok := a.statuses.latest(pod.UID)
	if !ok {
		return pod
	}
	out := *pod
	out.Status.InitContainerStatuses = status.InitContainerStatuses
	out.Status.ContainerStatuses = status.ContainerStatuses
	out.Status.EphemeralContainerStatuses = status.EphemeralContainerStatuses
	return &out
}

// status is the Pod's status as a kubelet would report it.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
func (o observation) status() v1.PodStatus {
	old := o.pod.Status
	s := *old.DeepCopy()
	s.ObservedGeneration = o.generation()
	if !pods.IsFinal(old.Phase) || s.HostIP == "" {
		s.HostIP, s.HostIPs = o.hostIPs.First(), o.hostIPs.HostIPs()
	}
	if s.StartTime == nil {
		s.StartTime = ptr.To(pods.WholeSeconds(o.now))
	}
	s.QOSClass = qos.GetPodQOS(o.pod)
	if !pods.IsFinal(old.Phase) || len(o.have) > 0 { // or else all was said
		s.InitContainerStatuses = o.containers(o.pod.Spec.InitContainers, old.InitContainerStatuses, true)
		s.ContainerStatuses = o.containers(o.pod.Spec.Containers, old.ContainerStatuses, false)
		s.EphemeralContainerStatuses = o.containers(pods.Ephemerals(o.pod), old.EphemeralContainerStatuses, false)
	}
	if !pods.IsFinal(old.Phase) {
		s.Phase = phase(o.pod, s.InitContainerStatuses, s.ContainerStatuses, o.finished)
		if pods.IsFinal(s.Phase) && o.anyRunning() { // a sidecar: the Pod is over when it has ended too
			s.Phase = old.Phase
		}
		if s.Phase != v1.PodPending && old.Phase == v1.PodPending {
			s.Reason, s.Message = "", ""
		}
	}
	s.Resources, s.AllocatedResources = o.resources(), pods.Requests(o.pod)
	o.hold(&s)
	o.fail(&s)
	if len(o.podIPs) > 0 {
		s.PodIP, s.PodIPs = o.podIPs.First(), o.podIPs.PodIPs()
	}
	s.Conditions = o.conditions(s)
	return s
}

// fail applies a failure: its reason is told at once, the phase when nothing runs.
func (o observation) fail(s *v1.PodStatus) {
	if o.failure == nil {
		return
	}
	s.Reason, s.Message = o.failure.reason, o.failure.message
	if len(o.have) == 0 { // it was never admitted
		s.InitContainerStatuses, s.ContainerStatuses = nil, nil
	}
	if !o.anyRunning() {
		s.Phase = v1.PodFailed
	}
}

func (o observation) anyRunning() bool {
	containers, _ := pods.Split(pods.Running(o.have))
	return len(containers) > 0
}

// containers are the statuses of a list of containers, in its order.
func (o observation) containers(declared []v1.Container, old []v1.ContainerStatus, init bool) []v1.ContainerStatus {
	if len(declared) == 0 {
		return nil
	}
	out := make([]v1.ContainerStatus, 0, len(declared))
	for n := range declared {
		c := &declared[n]
		var before v1.ContainerStatus
		for _, s := range old {
			if s.Name == c.Name {
				before = s
			}
		}
		out = append(out, o.container(c, before, init))
	}
	return out
}

// container is one container's status: from its latest instance, with the one before it
// as its last state.
func (o observation) container(c *v1.Container, before v1.ContainerStatus, init bool) v1.ContainerStatus {
	last, previous := o.instances(c.Name)
	s := v1.ContainerStatus{
		Name: c.Name, Image: c.Image, RestartCount: before.RestartCount, Started: new(bool), VolumeMounts: mountStatuses(c),
	}
	if last == nil {
		return o.absent(c, before, s, init)
	}
	s.Image, s.ImageID, s.ContainerID = last.Image, o.imageID(last.ImageID), "docker://"+last.ID
	s.RestartCount = int32(last.Attempt)
	s.LastTerminationState = before.LastTerminationState
	if previous != nil && previous.Ended() && previous.Attempt >= last.Attempt-1 {
		s.LastTerminationState.Terminated = o.terminated(*previous)
	} else if before.ContainerID != "" && before.ContainerID != s.ContainerID { // the one before it vanished
		s.LastTerminationState.Terminated = pods.LastTermination(before)
	}
	s.Resources, s.AllocatedResources = limits.Reported(c, *last), c.Resources.Requests
	s.User = last.User
	if before.ContainerID == s.ContainerID && before.User != nil { // it may have taken another one since
		s.User = before.User
	}
	if last.StopSignal != "" {
		s.StopSignal = ptr.To(v1.Signal(last.StopSignal))
	}
	o.state(c, *last, &s, init)
	if s.State.Terminated == nil && pods.StaysTerminated(o.pod, c, before) { // such as an init container's in a new sandbox
		s.State, s.Started = before.State, new(bool)
		s.Ready = init && before.State.Terminated.ExitCode == 0
	}
	return s
}

// state is that of a container that was started.
func (o observation) state(c *v1.Container, last pods.Instance, s *v1.ContainerStatus, init bool) {
	why, waits := o.waiting[c.Name]
	switch {
	case last.Running():
		v := o.health(c, last)
		if v.Hook != pods.HookDone { // not running yet, or not any more, as on a kubelet
			s.State.Waiting = o.waitingState(c, init)
			break
		}
		s.State.Running = &v1.ContainerStateRunning{StartedAt: pods.WholeSeconds(last.StartedAt)}
		*s.Started = v.Started
		s.Ready = v.Started && v.Ready && (!init || pods.IsSidecar(c)) && pods.Ephemeral(o.pod, c.Name) == nil
	case waits && !o.finished && why.Reason != "" && (init || o.renewed[last.ID] || pods.RunsAgain(o.pod, c, last.ExitCode)):
		s.State.Waiting = &v1.ContainerStateWaiting{Reason: why.Reason, Message: why.Message}
		s.LastTerminationState.Terminated = o.terminated(last)
	case (last.RestartGeneration < o.restartGeneration || o.renewed[last.ID]) && !o.finished && pods.Ephemeral(o.pod, c.Name) == nil:
		s.State.Waiting = o.waitingState(c, init)
		s.LastTerminationState.Terminated = o.terminated(last)
	default:
		s.State.Terminated = o.terminated(last)
		s.Ready = init && last.ExitCode == 0
	}
}

// absent is the status of a container that Docker does not have: what was known of it when it had it.
func (o observation) absent(c *v1.Container, before, s v1.ContainerStatus, init bool) v1.ContainerStatus {
	end := pods.LastTermination(before)
	switch {
	case init && pods.CompletedUnseen(o.pod, o.have, c):
		end = &v1.ContainerStateTerminated{
			Reason: "Completed", ContainerID: before.ContainerID,
			Message: "The container is gone, and one that comes after it was started",
		}
	case end == nil:
		s.State.Waiting = o.waitingState(c, init)
		return s
	case pods.RestartsRemoved(o.pod, c) && !o.finished && o.pod.DeletionTimestamp == nil && !(init && passed(c, end)):
		s.ContainerID, s.ImageID = before.ContainerID, before.ImageID
		s.LastTerminationState.Terminated = end
		s.State.Waiting = o.waitingState(c, init)
		return s
	}
	s = before
	s.Name, s.State, s.Started = c.Name, v1.ContainerState{Terminated: end}, new(bool)
	s.Ready = init && end.ExitCode == 0
	return s
}

// passed tells of an init container that it ended well, whatever its restart policy.
func passed(c *v1.Container, end *v1.ContainerStateTerminated) bool {
	return !pods.IsSidecar(c) && end.ExitCode == 0
}

// waitingState says what a container waits for.
func (o observation) waitingState(c *v1.Container, init bool) *v1.ContainerStateWaiting {
	if w, ok := o.waiting[c.Name]; ok && w.Reason != "" {
		return &v1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}
	}
	reason := "ContainerCreating"
	if init || len(o.pod.Spec.InitContainers) > 0 {
		reason = "PodInitializing"
	}
	return &v1.ContainerStateWaiting{Reason: reason}
}

// instances are the latest instance of a container that was started, and the one before it.
func (o observation) instances(name string) (last, previous *pods.Instance) {
	for n := range o.have {
		if o.have[n].ContainerName == name && o.have[n].WasStarted() {
			last, previous = &o.have[n], last
		}
	}
	if last != nil && pods.Superseded(o.pod, *last) {
		return nil, nil
	}
	return last, previous
}

// generation is the one that the status tells of. A deletion makes a new one: that is told with
// the end of the containers, and is no news before.
func (o observation) generation() int64 {
	if o.pod.DeletionTimestamp != nil && !o.finished {
		return o.pod.Status.ObservedGeneration
	}
	return o.pod.Generation
}

// terminated describes how a container ended.
func (o observation) terminated(i pods.Instance) *v1.ContainerStateTerminated {
	t := &v1.ContainerStateTerminated{
		ExitCode: int32(i.ExitCode), Reason: "Error", ContainerID: "docker://" + i.ID, Message: o.message(i),
		StartedAt: pods.WholeSeconds(i.StartedAt), FinishedAt: pods.WholeSeconds(i.EndedAt()),
	}
	switch {
	case i.StartedAt.IsZero():
		t.Reason, t.Message = "StartError", i.Error
		t.StartedAt = metav1.NewTime(time.Unix(0, 0))
	case i.OOMKilled:
		t.Reason = "OOMKilled"
	case i.ExitCode == 0:
		t.Reason = "Completed"
	}
	return t
}

// phase sums the containers up.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
func phase(pod *v1.Pod, init, containers []v1.ContainerStatus, finished bool) v1.PodPhase {
	for n := range init {
		if pods.IsSidecar(&pod.Spec.InitContainers[n]) {
			continue
		}
		if t := init[n].State.Terminated; t == nil || t.ExitCode != 0 {
			if t != nil && (finished || !pods.Restarts(pod, &pod.Spec.InitContainers[n], int(t.ExitCode))) {
				return v1.PodFailed
			}
			if !anyStarted(containers) {
				return pendingOr(finished)
			}
		}
	}
	var running, stopped, succeeded int
	for _, s := range containers {
		switch {
		case s.State.Running != nil:
			running++
		case s.State.Terminated != nil:
			stopped++
			if s.State.Terminated.ExitCode == 0 {
				succeeded++
			}
		case s.LastTerminationState.Terminated != nil:
			stopped++
		default:
			return pendingOr(finished)
		}
	}
	switch {
	case running > 0 || !finished:
		return v1.PodRunning
	case stopped == succeeded:
		return v1.PodSucceeded
	}
	return v1.PodFailed
}

// pendingOr: a Pod that never came to run all its containers and never will has failed.
func pendingOr(finished bool) v1.PodPhase {
	if finished {
		return v1.PodFailed
	}
	return v1.PodPending
}

func anyStarted(containers []v1.ContainerStatus) bool {
	for _, s := range containers {
		if s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil {
			return true
		}
	}
	return false
}
