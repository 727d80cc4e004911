package status

import (
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testPod is a Pod "web" of nothing but its name.
func testPod() *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid"}}
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// observed is an observation of a Pod with one container "app".
func observed(change func(*Observation)) Observation {
	pod := testPod()
	pod.Generation = 4
	pod.Spec.RestartPolicy = v1.RestartPolicyAlways
	pod.Spec.Containers = []v1.Container{{Name: "app", Image: "app:1"}}
	o := Observation{
		Pod: pod, Waiting: map[string]pods.Waiting{}, HostIPs: pods.IPs{"10.244.0.1"}, Now: noon,
		ImageID: func(id string) string { return "docker://" + id }, Message: func(pods.Instance) string { return "" },
		Health: func(*v1.Container, pods.Instance) pods.Health { return pods.Health{Started: true, Ready: true} },
	}
	change(&o)
	return o
}

func appInstance(attempt int, status string, code int) pods.Instance {
	i := pods.Instance{ContainerName: "app", Attempt: attempt, Container: docker.Container{
		ID: "id", Image: "app:1", ImageID: "sha256:1", Status: status, ExitCode: code, Created: noon, StartedAt: noon,
	}}
	if status == docker.StatusExited {
		i.FinishedAt = noon.Add(time.Second)
	}
	return i
}

func TestContainerStatesHaveAKubeletsReasons(t *testing.T) {
	oom := appInstance(0, docker.StatusExited, 137)
	oom.OOMKilled = true
	unstarted := appInstance(0, docker.StatusCreated, 127)
	unstarted.StartedAt, unstarted.Error = time.Time{}, "no such file"
	crash := map[string]pods.Waiting{"app": {Reason: "CrashLoopBackOff", Message: "back-off 10s"}}
	for _, c := range []struct {
		name                string
		have                []pods.Instance
		waiting             map[string]pods.Waiting
		wait, ended, before string // reasons of state waiting, state terminated and last state
		phase               v1.PodPhase
	}{
		{name: "nothing yet", wait: "ContainerCreating", phase: v1.PodPending},
		{name: "image trouble", waiting: map[string]pods.Waiting{"app": {Reason: "ErrImagePull", Message: "x"}}, wait: "ErrImagePull", phase: v1.PodPending},
		{name: "created", have: []pods.Instance{appInstance(0, docker.StatusCreated, 0)}, wait: "ContainerCreating", phase: v1.PodPending},
		{name: "running", have: []pods.Instance{appInstance(0, docker.StatusRunning, 0)}, phase: v1.PodRunning},
		{name: "paused by hand", have: []pods.Instance{appInstance(0, docker.StatusPaused, 0)}, phase: v1.PodRunning},
		{name: "completed", have: []pods.Instance{appInstance(0, docker.StatusExited, 0)}, ended: "Completed", phase: v1.PodRunning},
		{name: "failed", have: []pods.Instance{appInstance(0, docker.StatusExited, 1)}, ended: "Error", phase: v1.PodRunning},
		{name: "out of memory", have: []pods.Instance{oom}, ended: "OOMKilled", phase: v1.PodRunning},
		{name: "killed", have: []pods.Instance{appInstance(0, docker.StatusExited, 137)}, ended: "Error", phase: v1.PodRunning},
		{name: "could not start", have: []pods.Instance{unstarted}, ended: "StartError", phase: v1.PodRunning},
		{name: "crashing", have: []pods.Instance{appInstance(0, docker.StatusExited, 1)}, waiting: crash, wait: "CrashLoopBackOff", before: "Error", phase: v1.PodRunning},
		{name: "restarted", have: []pods.Instance{oom, appInstance(1, docker.StatusRunning, 0)}, before: "OOMKilled", phase: v1.PodRunning},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := observed(func(o *Observation) {
				o.Have = c.have
				if c.waiting != nil {
					o.Waiting = c.waiting
				}
			}).Status()
			got := s.ContainerStatuses[0]
			if reason(got.State) != c.wait+c.ended || reason(got.LastTerminationState) != c.before || s.Phase != c.phase {
				t.Errorf("phase %s, state %+v, last %+v", s.Phase, got.State, got.LastTerminationState)
			}
			if running := got.State.Running != nil; running != (c.wait+c.ended == "") || got.Ready != running || *got.Started != running || IsReady(s) != running {
				t.Errorf("ready %t, started %t, pod ready %t", got.Ready, *got.Started, IsReady(s))
			}
		})
	}
}

func reason(s v1.ContainerState) string {
	switch {
	case s.Waiting != nil:
		return s.Waiting.Reason
	case s.Terminated != nil:
		return s.Terminated.Reason
	}
	return ""
}

func TestConditionsKeepTheTimeOfTheirLastChange(t *testing.T) {
	earlier := metav1.NewTime(noon.Add(-time.Hour))
	gate := v1.PodCondition{Type: "example.org/gate", Status: v1.ConditionTrue}
	s := observed(func(o *Observation) {
		o.Have, o.Sandbox = []pods.Instance{appInstance(0, docker.StatusRunning, 0)}, true
		o.Pod.Status.Conditions = []v1.PodCondition{
			gate,
			{Type: v1.PodScheduled, Status: v1.ConditionTrue, LastTransitionTime: earlier},
			{Type: v1.PodReady, Status: v1.ConditionFalse, LastTransitionTime: earlier, Reason: "ContainersNotReady"},
		}
	}).Status()
	times := map[v1.PodConditionType]time.Time{}
	for _, c := range s.Conditions {
		times[c.Type] = c.LastTransitionTime.Time
		if c.Status != v1.ConditionTrue || c.Reason != "" || c.Type != gate.Type && c.ObservedGeneration != 4 {
			t.Errorf("condition %+v", c)
		}
	}
	if len(s.Conditions) != 6 || !times[v1.PodScheduled].Equal(earlier.Time) || !times[v1.PodReady].Equal(noon) {
		t.Errorf("conditions %+v", s.Conditions)
	}
}

func TestReadinessGatesHoldThePodBack(t *testing.T) {
	gated := func(conditions ...v1.PodCondition) bool {
		return IsReady(observed(func(o *Observation) {
			o.Have = []pods.Instance{appInstance(0, docker.StatusRunning, 0)}
			o.Pod.Spec.ReadinessGates = []v1.PodReadinessGate{{ConditionType: "gate"}}
			o.Pod.Status.Conditions = conditions
		}).Status())
	}
	if gated() || gated(v1.PodCondition{Type: "gate", Status: v1.ConditionFalse}) || !gated(v1.PodCondition{Type: "gate", Status: v1.ConditionTrue}) {
		t.Error("the gate does not decide")
	}
}

func TestStatusOfAContainerThatVanishedIsKept(t *testing.T) {
	ran := v1.ContainerStatus{Name: "app", ContainerID: "docker://old", RestartCount: 2, State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}}
	s := observed(func(o *Observation) { o.Pod.Status.ContainerStatuses = []v1.ContainerStatus{ran} }).Status().ContainerStatuses[0]
	if s.RestartCount != 2 || s.State.Waiting == nil || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.Reason != "ContainerStatusUnknown" {
		t.Errorf("status %+v", s)
	}
}

func TestStatusTellsTheMountsOfAContainer(t *testing.T) {
	deep, perhaps := v1.RecursiveReadOnlyEnabled, v1.RecursiveReadOnlyIfPossible
	o := observed(func(o *Observation) {
		o.Pod.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{
			{Name: "data", MountPath: "/data", SubPath: "x"}, {Name: "flat", MountPath: "/flat", ReadOnly: true},
			{Name: "deep", MountPath: "/deep", ReadOnly: true, RecursiveReadOnly: &deep},
			{Name: "perhaps", MountPath: "/perhaps", ReadOnly: true, RecursiveReadOnly: &perhaps},
		}
	})
	no, yes := v1.RecursiveReadOnlyDisabled, v1.RecursiveReadOnlyEnabled
	want := []v1.VolumeMountStatus{
		{Name: "data", MountPath: "/data"}, {Name: "flat", MountPath: "/flat", ReadOnly: true, RecursiveReadOnly: &no},
		{Name: "deep", MountPath: "/deep", ReadOnly: true, RecursiveReadOnly: &yes}, {Name: "perhaps", MountPath: "/perhaps", ReadOnly: true},
	}
	if got := o.Status().ContainerStatuses[0].VolumeMounts; !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestStatusTellsTheStopSignalAlsoOfTheImage(t *testing.T) {
	i := appInstance(0, docker.StatusRunning, 0)
	i.StopSignal = "SIGQUIT" // the declaration has none: it is the image's
	s := observed(func(o *Observation) { o.Have = []pods.Instance{i} }).Status()
	if got := s.ContainerStatuses[0].StopSignal; got == nil || *got != v1.SIGQUIT {
		t.Errorf("the stop signal is %v, want SIGQUIT", got)
	}
}
