package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// testPod has one container, "app", which is always restarted.
func testPod() *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "uid"},
		Spec:       v1.PodSpec{RestartPolicy: v1.RestartPolicyAlways, Containers: []v1.Container{{Name: "app", Image: "app:1"}}},
	}
}

// instance is one of a Pod's container in the sandbox "sandbox", which has run since noon.
func instance(pod *v1.Pod, name string, status string) pods.Instance {
	i := pods.Instance{
		Pod: pods.RefOf(pod), ContainerName: name, SandboxID: "sandbox",
		Container: docker.Container{ID: name, Status: status, Created: noon, StartedAt: noon},
	}
	if status == docker.StatusExited {
		i.FinishedAt = noon.Add(time.Minute)
	}
	if c := pods.Container(pod, name); c != nil {
		i.SpecHash, i.Image = pods.SpecHash(pod, c), c.Image
	}
	return i
}

func sandbox(pod *v1.Pod, status string) pods.Instance {
	i := instance(pod, pods.SandboxName, status)
	i.ID, i.SandboxID = "sandbox", ""
	return i
}

// waitsUntil has what ended wait; its zero value lets it start.
type waitsUntil time.Time

func (w waitsUntil) Waits(string, time.Time) (time.Duration, time.Time, bool) {
	return time.Minute, time.Time(w), !time.Time(w).IsZero()
}

// decided is what a plan says, as names.
func decided(p Plan) (end, start, preCreate, discard []string) {
	for _, e := range p.End {
		end = append(end, e.ContainerName)
	}
	for _, s := range p.Start {
		start = append(start, s.Container.Name)
	}
	for _, s := range p.PreCreate {
		preCreate = append(preCreate, s.Container.Name)
	}
	for _, i := range p.Discard {
		discard = append(discard, i.ContainerName)
	}
	return end, start, preCreate, discard
}

func TestDecide(t *testing.T) {
	pod := testPod()
	changed := testPod()
	changed.Spec.Containers[0].Image = "app:2"
	probed := testPod()
	probed.Spec.Containers[0].LivenessProbe = &v1.Probe{}
	first := testPod()
	first.Spec.InitContainers = []v1.Container{{Name: "init", Image: "app:1"}}
	once := testPod()
	once.Spec.RestartPolicy = v1.RestartPolicyNever
	running, exited, created := docker.StatusRunning, docker.StatusExited, docker.StatusCreated
	for _, c := range []struct {
		what                           string
		pod                            *v1.Pod
		have                           []pods.Instance
		health                         pods.Health
		until                          time.Time
		end, start, preCreate, discard []string
		finished                       bool
	}{
		{what: "a new Pod", pod: pod, start: []string{"app"}},
		{what: "a sandbox alone", pod: pod, have: []pods.Instance{sandbox(pod, running)}, start: []string{"app"}},
		{what: "all of it runs", pod: pod, have: []pods.Instance{sandbox(pod, running), instance(pod, "app", running)}},
		{what: "it was created only", pod: pod, have: []pods.Instance{sandbox(pod, running), instance(pod, "app", created)}, start: []string{"app"}},
		{what: "it ended", pod: pod, have: []pods.Instance{sandbox(pod, running), instance(pod, "app", exited)}, start: []string{"app"}},
		{what: "it ended and has to wait", pod: pod, have: []pods.Instance{sandbox(pod, running), instance(pod, "app", exited)}, until: noon},
		{what: "it ended for good", pod: once, have: []pods.Instance{sandbox(once, running), instance(once, "app", exited)}, finished: true},
		{what: "its image changed", pod: changed, have: []pods.Instance{sandbox(pod, running), instance(pod, "app", running)}, end: []string{"app"}},
		{
			what: "its liveness probe failed", pod: probed, have: []pods.Instance{sandbox(probed, running), instance(probed, "app", running)},
			health: pods.Health{Started: true, Failed: "liveness"}, end: []string{"app"},
		},
		{what: "its sandbox ended", pod: pod, have: []pods.Instance{sandbox(pod, exited), instance(pod, "app", running)}, end: []string{"app"}},
		{
			what: "it was created for a sandbox that ended", pod: pod, have: []pods.Instance{sandbox(pod, exited), instance(pod, "app", created)},
			start: []string{"app"}, discard: []string{"app"},
		},
		{what: "an init container comes first", pod: first, have: []pods.Instance{sandbox(first, running)}, start: []string{"init"}, preCreate: []string{"app"}},
		{what: "an init container runs", pod: first, have: []pods.Instance{sandbox(first, running), instance(first, "init", running)}},
		{what: "an init container is done", pod: first, have: []pods.Instance{sandbox(first, running), instance(first, "init", exited)}, start: []string{"app"}},
	} {
		p := Decide(c.pod, c.have, View{
			Backoffs: waitsUntil(c.until), Health: func(*v1.Container, pods.Instance) pods.Health { return c.health },
		})
		end, start, preCreate, discard := decided(p)
		if !slices.Equal(end, c.end) || !slices.Equal(start, c.start) || !slices.Equal(preCreate, c.preCreate) || !slices.Equal(discard, c.discard) {
			t.Errorf("%s: ends %v, starts %v, pre-creates %v, discards %v", c.what, end, start, preCreate, discard)
		}
		if p.Finished != c.finished || (len(p.Backoff) > 0) != !c.until.IsZero() {
			t.Errorf("%s: finished: %v, waiting are %v", c.what, p.Finished, p.Backoff)
		}
	}
}
