package verdict

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSteadyAfter(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ended := func(ran time.Duration) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "a", RestartCount: 1, LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			StartedAt: metav1.NewTime(noon), FinishedAt: metav1.NewTime(noon.Add(ran)),
		}}}
	}
	for _, f := range []struct {
		name   string
		probe  *corev1.Probe
		status corev1.ContainerStatus
		want   time.Duration
	}{
		{"asked by a probe", &corev1.Probe{}, corev1.ContainerStatus{Name: "a"}, 0},
		{"asked by none", nil, corev1.ContainerStatus{Name: "a"}, 3 * time.Second},
		{"ended at once before", nil, ended(0), 5 * time.Second},
		{"ended after a while before, probe or not", &corev1.Probe{}, ended(20 * time.Second), 25 * time.Second},
		{"ended after a long time before", nil, ended(time.Hour), time.Minute},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", ReadinessProbe: f.probe}}}}
		if got := steadyAfter(p, f.status); got != f.want {
			t.Errorf("%s: %v, want %v", f.name, got, f.want)
		}
	}
}

// What runs for a moment is not ready for a verdict, though the API says so.
func TestWhatHasJustStartedIsNotReady(t *testing.T) {
	started := func(at time.Time) string {
		return pod + "spec: {containers: [{name: a}]}\nstatus: {phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: a, containerID: 'docker://1', state: {running: {startedAt: '" +
			at.UTC().Format(time.RFC3339) + "'}}}]}"
	}
	for want, at := range map[State]time.Time{Waiting: time.Now(), Ready: time.Now().Add(-time.Hour)} {
		r := newRig(t, started(at))
		e := &entry{Object: r.Objects[0]}
		r.look(t.Context(), e, []*entry{e})
		if e.State != want {
			t.Errorf("started at %v: it is %d, %q; want %d", at, e.State, e.Text, want)
		}
	}
}

// A Deployment that still counts a pod whose container has ended already is not ready.
func TestAWorkloadIsAsReadyAsItsPods(t *testing.T) {
	r := newRig(t,
		deployment+"status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2, "+
			"conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nstatus: {phase: Running, containerStatuses: [{name: a, state: {waiting: {reason: CrashLoopBackOff}}}]}")
	e := &entry{Object: r.Objects[0]}
	r.look(t.Context(), e, []*entry{e})
	if e.State != Waiting || e.Text != "container a of pod web does not run" {
		t.Errorf("it is %d, %q", e.State, e.Text)
	}
}
