package status

import (
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
	"k8s.io/utils/ptr"
)

// Observation is all that a Pod's status is computed from.
type Observation struct {
	Pod               *v1.Pod // with the status that the API has
	Have              []pods.Instance
	Waiting           map[string]pods.Waiting
	Finished          bool         // no container will run again
	Failure           *pods.Reason // ends the Pod; nil: nothing does
	Held              *pods.Reason // keeps it from being taken for now; an empty one: it was kept; nil: nothing does
	Sandbox           bool         // a sandbox runs
	PodIPs            pods.IPs     // none yet: empty
	HostIPs           pods.IPs
	ImageID           func(id string) string     // how an image is shown
	Message           func(pods.Instance) string // what a container that ended left to say
	Health            func(*v1.Container, pods.Instance) pods.Health
	Renewed           map[string]bool   // containers that start again whatever they ended with, by ID
	RestartGeneration int               // of what is started: see pods.Instance
	Resize            []v1.PodCondition // those of a resize
	Now               time.Time
}

// Status is the Pod's status as a kubelet would report it.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
func (o Observation) Status() v1.PodStatus {
	old := o.Pod.Status
	s := *old.DeepCopy()
	s.ObservedGeneration = o.generation()
	if !pods.IsFinal(old.Phase) || s.HostIP == "" {
		s.HostIP, s.HostIPs = o.HostIPs.First(), o.HostIPs.HostIPs()
	}
	if s.StartTime == nil {
		s.StartTime = ptr.To(pods.WholeSeconds(o.Now))
	}
	s.QOSClass = qos.GetPodQOS(o.Pod)
	if !pods.IsFinal(old.Phase) || len(o.Have) > 0 { // or else all was said
		s.InitContainerStatuses = o.containers(o.Pod.Spec.InitContainers, old.InitContainerStatuses, true)
		s.ContainerStatuses = o.containers(o.Pod.Spec.Containers, old.ContainerStatuses, false)
		s.EphemeralContainerStatuses = o.containers(pods.Ephemerals(o.Pod), old.EphemeralContainerStatuses, false)
	}
	if !pods.IsFinal(old.Phase) {
		s.Phase = phase(o.Pod, s.InitContainerStatuses, s.ContainerStatuses, o.Finished)
		if pods.IsFinal(s.Phase) && o.anyRunning() { // a sidecar: the Pod is over when it has ended too
			s.Phase = old.Phase
		}
		if s.Phase != v1.PodPending && old.Phase == v1.PodPending {
			s.Reason, s.Message = "", ""
		}
	}
	s.Resources, s.AllocatedResources = o.resources(), pods.Requests(o.Pod)
	o.hold(&s)
	o.fail(&s)
	if len(o.PodIPs) > 0 {
		s.PodIP, s.PodIPs = o.PodIPs.First(), o.PodIPs.PodIPs()
	}
	s.Conditions = o.conditions(s)
	return s
}

// fail applies a failure: its reason is told at once, the phase when nothing runs.
func (o Observation) fail(s *v1.PodStatus) {
	if o.Failure == nil {
		return
	}
	s.Reason, s.Message = o.Failure.Reason, o.Failure.Message
	if len(o.Have) == 0 { // it was never admitted
		s.InitContainerStatuses, s.ContainerStatuses = nil, nil
	}
	if !o.anyRunning() {
		s.Phase = v1.PodFailed
	}
}

func (o Observation) anyRunning() bool {
	containers, _ := pods.Split(pods.Running(o.Have))
	return len(containers) > 0
}

// containers are the statuses of a list of containers, in its order.
func (o Observation) containers(declared []v1.Container, old []v1.ContainerStatus, init bool) []v1.ContainerStatus {
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
func (o Observation) container(c *v1.Container, before v1.ContainerStatus, init bool) v1.ContainerStatus {
	last, previous := o.instances(c.Name)
	s := v1.ContainerStatus{
		Name: c.Name, Image: c.Image, RestartCount: before.RestartCount, Started: new(bool), VolumeMounts: mountStatuses(c),
	}
	if last == nil {
		return o.absent(c, before, s, init)
	}
	s.Image, s.ImageID, s.ContainerID = last.Image, o.ImageID(last.ImageID), "docker://"+last.ID
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
	if s.State.Terminated == nil && pods.StaysTerminated(o.Pod, c, before) { // such as an init container's in a new sandbox
		s.State, s.Started = before.State, new(bool)
		s.Ready = init && before.State.Terminated.ExitCode == 0
	}
	return s
}

// state is that of a container that was started.
func (o Observation) state(c *v1.Container, last pods.Instance, s *v1.ContainerStatus, init bool) {
	why, waits := o.Waiting[c.Name]
	switch {
	case last.Running():
		v := o.Health(c, last)
		if v.Hook != pods.HookDone { // not running yet, or not any more, as on a kubelet
			s.State.Waiting = o.waitingState(c, init)
			break
		}
		s.State.Running = &v1.ContainerStateRunning{StartedAt: pods.WholeSeconds(last.StartedAt)}
		*s.Started = v.Started
		s.Ready = v.Started && v.Ready && (!init || pods.IsSidecar(c)) && pods.Ephemeral(o.Pod, c.Name) == nil
	case waits && !o.Finished && why.Reason != "" && (init || o.Renewed[last.ID] || pods.RunsAgain(o.Pod, c, last.ExitCode)):
		s.State.Waiting = &v1.ContainerStateWaiting{Reason: why.Reason, Message: why.Message}
		s.LastTerminationState.Terminated = o.terminated(last)
	case (last.RestartGeneration < o.RestartGeneration || o.Renewed[last.ID]) && !o.Finished && pods.Ephemeral(o.Pod, c.Name) == nil:
		s.State.Waiting = o.waitingState(c, init)
		s.LastTerminationState.Terminated = o.terminated(last)
	default:
		s.State.Terminated = o.terminated(last)
		s.Ready = init && last.ExitCode == 0
	}
}

// absent is the status of a container that Docker does not have: what was known of it when it had it.
func (o Observation) absent(c *v1.Container, before, s v1.ContainerStatus, init bool) v1.ContainerStatus {
	end := pods.LastTermination(before)
	switch {
	case init && pods.CompletedUnseen(o.Pod, o.Have, c):
		end = &v1.ContainerStateTerminated{
			Reason: "Completed", ContainerID: before.ContainerID,
			Message: "The container is gone, and one that comes after it was started",
		}
	case end == nil:
		s.State.Waiting = o.waitingState(c, init)
		return s
	case pods.RestartsRemoved(o.Pod, c) && !o.Finished && o.Pod.DeletionTimestamp == nil && !(init && passed(c, end)):
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
func (o Observation) waitingState(c *v1.Container, init bool) *v1.ContainerStateWaiting {
	if w, ok := o.Waiting[c.Name]; ok && w.Reason != "" {
		return &v1.ContainerStateWaiting{Reason: w.Reason, Message: w.Message}
	}
	reason := "ContainerCreating"
	if init || len(o.Pod.Spec.InitContainers) > 0 {
		reason = "PodInitializing"
	}
	return &v1.ContainerStateWaiting{Reason: reason}
}

// instances are the latest instance of a container that was started, and the one before it.
func (o Observation) instances(name string) (last, previous *pods.Instance) {
	for n := range o.Have {
		if o.Have[n].ContainerName == name && o.Have[n].WasStarted() {
			last, previous = &o.Have[n], last
		}
	}
	if last != nil && pods.Superseded(o.Pod, *last) {
		return nil, nil
	}
	return last, previous
}

// generation is the one that the status tells of. A deletion makes a new one: that is told with
// the end of the containers, and is no news before.
func (o Observation) generation() int64 {
	if o.Pod.DeletionTimestamp != nil && !o.Finished {
		return o.Pod.Status.ObservedGeneration
	}
	return o.Pod.Generation
}

// terminated describes how a container ended.
func (o Observation) terminated(i pods.Instance) *v1.ContainerStateTerminated {
	t := &v1.ContainerStateTerminated{
		ExitCode: int32(i.ExitCode), Reason: "Error", ContainerID: "docker://" + i.ID, Message: o.Message(i),
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

// hold shows why a Pod waits. It may be taken after all when it is looked at again.
func (o Observation) hold(s *v1.PodStatus) {
	if o.Held == nil || o.Failure != nil {
		return
	}
	s.Reason, s.Message = o.Held.Reason, o.Held.Message
	if *o.Held != (pods.Reason{}) { // or it was admitted
		s.InitContainerStatuses, s.ContainerStatuses = nil, nil
	}
}

// resources are those of the whole Pod; of one that declares its own those in force, which
// are the old ones until a resize is done.
func (o Observation) resources() *v1.ResourceRequirements {
	resizing := slices.ContainsFunc(o.Resize, func(c v1.PodCondition) bool { return c.Type == v1.PodResizeInProgress })
	if old := o.Pod.Status.Resources; resizing && old != nil && resourcehelper.IsPodLevelResourcesSet(o.Pod) {
		return old.DeepCopy()
	}
	return limits.ReportedPod(o.Pod)
}
