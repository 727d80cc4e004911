package runtime

import (
	"log/slog"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Memory for each Pod: the informer has its newest version, and nothing else may keep another one for long.
func TestWorkersKeepNoOlderVersionOfTheirPods(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		pod := r.pod("web", nil)
		r.wantState("web", "app", "running 0")
		ref := pods.RefOf(pod)
		r.agent.workers.mu.Lock()
		last := r.agent.workers.jobs[ref.UID].state.last.Load()
		r.agent.workers.mu.Unlock()
		if last != r.agent.declared(ref) {
			t.Errorf("the worker has version %s with phase %s of a pod that is %s", last.ResourceVersion, last.Status.Phase, r.get("web").Status.Phase)
		}
	})
}

func TestAnAnswerIsTheBaseUntilTheInformerHasIt(t *testing.T) {
	version := func(rv string) *v1.Pod {
		return &v1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u", ResourceVersion: rv},
			Status:     v1.PodStatus{Phase: v1.PodRunning, Message: "of " + rv},
		}
	}
	var informer *v1.Pod
	s := newStatuses(newFakeAPI(), func(pods.Ref) *v1.Pod { return informer }, slog.New(slog.DiscardHandler), func(string) {})
	want := version("").Status
	for _, c := range []struct{ listed, answer, later, base string }{
		{listed: "4", answer: "5", later: "4", base: "5"},
		{listed: "4", answer: "5", later: "5", base: "5"},
		{listed: "4", answer: "5", later: "10", base: "10"},
		{listed: "10", answer: "5", later: "10", base: "10"},
	} {
		ref := pods.RefOf(version("1"))
		s.set(ref, want)
		informer = version(c.listed)
		s.wrote(ref.UID, want, version(c.answer))
		informer = version(c.later)
		s.listed(informer)
		if got := s.base(*s.pods[ref.UID]); got.ResourceVersion != c.base || (got == informer) == (c.later == "4") {
			t.Errorf("%+v: the next status is written over version %s", c, got.ResourceVersion)
		}
		latest, _ := s.latest(ref.UID)
		if shared := latest.Message == "of "+c.answer; shared != (c.later == c.answer) || !shared && latest.Message != want.Message {
			t.Errorf("%+v: the latest status is %q", c, latest.Message)
		}
		s.forget(ref.UID)
	}
}
