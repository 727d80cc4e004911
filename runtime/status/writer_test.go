package status

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"log/slog"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestStatusesThatSomebodyWaitsForAreWrittenAtOnce(t *testing.T) {
	status := func(change func(*v1.PodStatus)) v1.PodStatus {
		s := v1.PodStatus{
			Phase: v1.PodPending, ContainerStatuses: []v1.ContainerStatus{{Name: "app"}},
			Conditions: []v1.PodCondition{{Type: v1.PodReady, Status: v1.ConditionFalse}},
		}
		change(&s)
		return s
	}
	same := func(*v1.PodStatus) {}
	none := func(s *v1.PodStatus) { s.ContainerStatuses = nil }
	running := func(s *v1.PodStatus) { s.Phase = v1.PodRunning }
	ready := func(s *v1.PodStatus) { running(s); s.Conditions[0].Status = v1.ConditionTrue }
	ended := func(s *v1.PodStatus) { s.Phase = v1.PodSucceeded }
	debugged := func(s *v1.PodStatus) { s.EphemeralContainerStatuses = []v1.ContainerStatus{{Name: "debug"}} }
	restarted := func(s *v1.PodStatus) { s.ContainerStatuses[0].RestartCount = 1 }
	for name, c := range map[string]struct {
		before, after func(*v1.PodStatus)
		want          time.Duration
	}{
		"the first":              {none, same, 0},
		"ready":                  {running, ready, 0},
		"ready at once":          {same, ready, 0},
		"not ready any more":     {ready, running, 0},
		"ended":                  {running, ended, 0},
		"a debugging container":  {running, debugged, 0},
		"runs, not ready yet":    {same, running, readyPause},
		"a container's own step": {same, restarted, WritePause},
	} {
		s := &Writer{Pause: WritePause}
		if got := s.delay(status(c.before), status(c.after)); got != c.want {
			t.Errorf("%s: waits %v, want %v", name, got, c.want)
		}
	}
}

// Whoever leads the host's ports to Pods learns of their addresses from the API, and should be done when they are ready.
func TestTheAddressOfAPodWithAPortOfTheHostIsToldAtOnce(t *testing.T) {
	for hostPort, want := range map[int32]int{0: 0, 8080: 1} {
		pod := testPod()
		pod.Spec.Containers = []v1.Container{{Ports: []v1.ContainerPort{{ContainerPort: 80, HostPort: hostPort}}}}
		s := NewWriter(nil, func(pods.Ref) *v1.Pod { return pod }, slog.New(slog.DiscardHandler), func(string) {})
		status := v1.PodStatus{ContainerStatuses: []v1.ContainerStatus{{Name: "app"}}}
		s.Set(pods.RefOf(pod), status)
		uid, _ := s.queue.Get()
		s.queue.Done(uid)
		status.PodIP = "10.244.0.2"
		s.Set(pods.RefOf(pod), status)
		if got := s.queue.Len(); got != want {
			t.Errorf("with the hostPort %d, %d statuses are written at once, want %d", hostPort, got, want)
		}
		s.queue.ShutDown()
	}
}

func TestAnAnswerIsTheBaseUntilTheInformerHasIt(t *testing.T) {
	version := func(rv string) *v1.Pod {
		return &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u", ResourceVersion: rv},
			Status:     v1.PodStatus{Phase: v1.PodRunning, Message: "of " + rv},
		}
	}
	var informer *v1.Pod
	s := NewWriter(fake.NewClientset(), func(pods.Ref) *v1.Pod { return informer }, slog.New(slog.DiscardHandler), func(string) {})
	want := version("").Status
	for _, c := range []struct{ listed, answer, later, base string }{
		{listed: "4", answer: "5", later: "4", base: "5"},
		{listed: "4", answer: "5", later: "5", base: "5"},
		{listed: "4", answer: "5", later: "10", base: "10"},
		{listed: "10", answer: "5", later: "10", base: "10"},
	} {
		ref := pods.RefOf(version("1"))
		s.Set(ref, want)
		informer = version(c.listed)
		s.wrote(ref.UID, want, version(c.answer))
		informer = version(c.later)
		s.Listed(informer)
		if got := s.base(*s.pods[ref.UID]); got.ResourceVersion != c.base || (got == informer) == (c.later == "4") {
			t.Errorf("%+v: the next status is written over version %s", c, got.ResourceVersion)
		}
		latest, _ := s.Latest(ref.UID)
		if shared := latest.Message == "of "+c.answer; shared != (c.later == c.answer) || !shared && latest.Message != want.Message {
			t.Errorf("%+v: the latest status is %q", c, latest.Message)
		}
		s.Forget(ref.UID)
	}
}

// A deletion waits until the last status is told.
func TestStatusThatTheAPIRefusesIsNotWrittenForEver(t *testing.T) {
	pod := testPod()
	pod.Spec.RestartPolicy = v1.RestartPolicyNever
	ended := v1.ContainerStateTerminated{ExitCode: 1}
	pod.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "app", State: v1.ContainerState{Terminated: &ended}}}
	client := fake.NewClientset(pod)
	client.PrependReactor("update", "pods", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInvalid(v1.SchemeGroupVersion.WithKind("Pod").GroupKind(), pod.Name, nil)
	})
	s := NewWriter(client, func(pods.Ref) *v1.Pod { return pod }, slog.New(slog.DiscardHandler), func(string) {})
	want := v1.PodStatus{Phase: v1.PodRunning, ContainerStatuses: []v1.ContainerStatus{{Name: "app", State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{}}}}}
	s.Set(pods.RefOf(pod), want)
	woken := false
	if s.Flush(pod.UID, func() { woken = true }) {
		t.Fatal("it is told already")
	}
	s.Remove(pods.RefOf(pod))
	if err := s.write(t.Context(), pod.UID); err != nil || !woken || !s.Flush(pod.UID, nil) {
		t.Errorf("written: %v, woken %t", err, woken)
	}
	s.Set(pods.RefOf(pod), want)
	if _, err := client.CoreV1().Pods("ns").Get(t.Context(), pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) || !s.pods[pod.UID].upToDate {
		t.Errorf("it is not removed, or the status is written again: %v", err)
	}
}
