package limits

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// machine is a node with two CPUs, its Pods, and who was enqueued.
type machine struct {
	Node
	pods     []*v1.Pod
	enqueued []string
}

func newMachine(t *testing.T) *machine {
	m := &machine{}
	m.Node = Node{
		Dirs: pods.Dirs{Root: t.TempDir()}, Pods: func() []*v1.Pod { return m.pods }, Log: slog.New(slog.DiscardHandler),
		Allocatable: func() v1.ResourceList { return amounts("cpu", "2", "pods", "10") },
		Enforceable: func(*v1.Pod) *pods.Reason { return nil },
		Enqueue:     func(ref pods.Ref) { m.enqueued = append(m.enqueued, ref.Name) },
	}
	return m
}

// resized is the Pod as it declares another request.
func resized(pod *v1.Pod, cpu string) *v1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.Containers[0].Resources.Requests = amounts("cpu", cpu)
	return pod
}

func (m *machine) admit(t *testing.T, a *Allocations, pod *v1.Pod) {
	t.Helper()
	m.pods = append(m.pods, pod)
	if r := a.Admit(pod, nil, m.Allocatable()); r != nil {
		t.Fatalf("%s is rejected: %v", pod.Name, *r)
	}
}

func TestPodIsAdmittedOnceAndRememberedByTheNextLife(t *testing.T) {
	m := newMachine(t)
	a := NewAllocations(m.Node)
	one := asking("one", amounts("cpu", "2"))
	if _, admitted := a.Resize(one); admitted {
		t.Error("it was admitted before anybody looked at it")
	}
	m.admit(t, a, one)
	two := asking("two", amounts("cpu", "1"))
	m.pods = append(m.pods, two)
	if r := a.Admit(two, nil, m.Allocatable()); r == nil || r.Reason != "OutOfcpu" {
		t.Errorf("beside it another one gets %v", r)
	}
	next := NewAllocations(m.Node)
	next.Recall()
	if r, admitted := next.Resize(resized(one, "1")); !admitted || r.Outcome != Accepted {
		t.Errorf("in the next life it is admitted: %v, its resize %v", admitted, r.Outcome)
	}
	if _, admitted := next.Resize(two); admitted {
		t.Error("in the next life the other one is admitted")
	}
}

func TestResizeIsDeferredUntilAnotherPodIsGone(t *testing.T) {
	m := newMachine(t)
	a := NewAllocations(m.Node)
	one, two := asking("one", amounts("cpu", "1")), asking("two", amounts("cpu", "1"))
	m.admit(t, a, one)
	m.admit(t, a, two)
	grown := resized(one, "2")
	r, _ := a.Resize(grown)
	if r.Outcome != Deferred || r.Shortage == nil || r.Pod.Spec.Containers[0].Resources.Requests.Cpu().String() != "1" {
		t.Fatalf("%v for %v, and the pod has %v", r.Outcome, r.Shortage, r.Pod.Spec.Containers[0].Resources.Requests)
	}
	m.pods = []*v1.Pod{grown}
	a.Release(two.UID)
	if !slices.Equal(m.enqueued, []string{"one"}) {
		t.Errorf("looked at again are %v", m.enqueued)
	}
	if r, _ := a.Resize(grown); r.Outcome != Accepted || r.Pod != grown {
		t.Errorf("with room it is %v", r.Outcome)
	}
	if r, _ := a.Resize(grown); r.Outcome != Unchanged {
		t.Errorf("once it was accepted it is %v", r.Outcome)
	}
}

func TestProgressOfAResizeKeepsItsTimeAndTellsNewsOnce(t *testing.T) {
	var r ResizeProgress
	pod, began := &v1.Pod{}, time.Unix(1000, 0)
	pod.Generation = 2
	if !r.Defer(pod, "no room", began) || r.Defer(pod, "no room", began.Add(time.Minute)) {
		t.Error("a resize is deferred with news once")
	}
	if c := r.Conditions(); len(c) != 1 || c[0].Type != v1.PodResizePending || !c[0].LastTransitionTime.Time.Equal(began) {
		t.Errorf("deferred: %+v", c)
	}
	r.Begin(pod, began)
	pod.Generation = 3 // of something else
	if generation, news := r.Fail(pod, errors.New("no"), began); generation != 2 || !news {
		t.Errorf("a failure of generation %d, news: %v", generation, news)
	}
	if _, news := r.Fail(pod, errors.New("no"), began); news {
		t.Error("the same failure is news again")
	}
	var next ResizeProgress
	pod.Status.Conditions = r.Conditions()
	next.Recall(pod)
	if generation, was := next.Complete(); generation != 2 || !was || len(next.Conditions()) != 0 {
		t.Errorf("in the next life generation %d completes: %v, left is %v", generation, was, next.Conditions())
	}
}

func TestMemoryInUseIsNotTaken(t *testing.T) {
	for _, c := range []struct {
		what             string
		have, want, used int64
		unknown, refused bool
	}{
		{what: "more", have: 10, want: 20, used: 10},
		{what: "no bound any more", have: 10, used: 10},
		{what: "less, and it uses less", have: 20, want: 10, used: 9},
		{what: "less than it uses", have: 20, want: 10, used: 10, refused: true},
		{what: "a first bound below what it uses", want: 10, used: 11, refused: true},
		{what: "less, and nothing counts what it uses", have: 20, want: 10, unknown: true, refused: true},
		{what: "a first bound, and nothing counts what it uses", want: 10, unknown: true},
	} {
		err := CheckDecrease("app", docker.Resources{Memory: c.have}, docker.Resources{Memory: c.want}, func() (int64, error) {
			if c.unknown {
				return 0, errors.New("no such file")
			}
			return c.used, nil
		})
		if (err != nil) != c.refused {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
