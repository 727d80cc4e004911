package runtime

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ktesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
)

// sinkOf keeps the reasons of the events that it is given.
type sinkOf struct {
	record.EventSink
	mu      sync.Mutex // guards reasons
	reasons []string
}

func (s *sinkOf) Create(e *v1.Event) (*v1.Event, error) { return s.add(e) }

func (s *sinkOf) Patch(e *v1.Event, _ []byte) (*v1.Event, error) { return s.add(e) }

func (s *sinkOf) add(e *v1.Event) (*v1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reasons = append(s.reasons, e.Reason)
	return e, nil
}

func (s *sinkOf) written() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reasons)
}

func TestEventsLetContainersStartFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, starts, ended := &sinkOf{}, newStarts(), make(chan struct{})
		broadcaster := newBroadcaster()
		recording := broadcaster.StartRecordingToSink(deferredEvents{EventSink: sink, starts: starts, ended: ended, now: time.Now})
		defer recording.Stop()
		defer broadcaster.Shutdown()
		recorder := newRecorder(broadcaster, "node")
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}}
		want := func(when string, want ...string) {
			t.Helper()
			if got := sink.written(); !slices.Equal(got, want) {
				t.Errorf("%s: written are %q, want %q", when, got, want)
			}
		}

		recorder.Event(pod, v1.EventTypeNormal, "Scheduled", "nothing starts")
		want("nothing starts", "Scheduled")
		starts.begin()
		starts.begin()
		recorder.Event(pod, v1.EventTypeNormal, "Pulled", "one")
		recorder.Event(pod, v1.EventTypeNormal, "Created", "two")
		starts.end()
		want("one of two has started", "Scheduled")
		starts.end()
		want("both have started", "Scheduled", "Pulled", "Created")

		starts.begin()
		recorder.Event(pod, v1.EventTypeNormal, "Started", "three")
		time.Sleep(eventDelay - time.Millisecond)
		want("a start takes long", "Scheduled", "Pulled", "Created")
		time.Sleep(time.Millisecond)
		want("a start takes too long", "Scheduled", "Pulled", "Created", "Started")
		recorder.Event(pod, v1.EventTypeNormal, "Killing", "four")
		close(ended)
		want("the agent ends", "Scheduled", "Pulled", "Created", "Started", "Killing")
	})
}

// What is told of a start that takes half a second, with an init container: that it
// began, and that the Pod is ready.
func TestStepsOfAStartAreWrittenTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.agent.statuses.Pause = status.WritePause
		r.pod("web", func(p *v1.Pod) {
			p.Spec.InitContainers = []v1.Container{app("first")}
		})
		time.Sleep(300 * time.Millisecond) // it started in one second, and ends in the next or not
		r.engine.exit("k8s_first_web_ns_uid-web_0", 0)
		r.after(time.Minute)
		if !status.IsReady(r.get("web").Status) {
			t.Errorf("the pod is %+v", r.get("web").Status)
		}
		r.wantPhasesWritten(v1.PodPending, v1.PodRunning)
	})
}

// wantPhasesWritten checks how often statuses were written, and what their phases were.
func (r *rig) wantPhasesWritten(want ...v1.PodPhase) {
	r.t.Helper()
	var phases []v1.PodPhase
	for _, a := range r.client.Actions() {
		if a.Matches("update", "pods") && a.GetSubresource() == "status" {
			phases = append(phases, a.(ktesting.UpdateAction).GetObject().(*v1.Pod).Status.Phase)
		}
	}
	if !slices.Equal(phases, want) {
		r.t.Errorf("statuses with the phases %q were written, want %q", phases, want)
	}
}

// A Pod that is deleted has one thing to tell: how its containers ended.
func TestEndOfAPodIsToldOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.agent.statuses.Pause = status.WritePause
		r.pod("web", nil)
		r.after(time.Minute)
		r.client.ClearActions()
		r.engine.mu.Lock()
		r.engine.stopDelay = 5 * time.Second
		r.engine.mu.Unlock()
		r.delete("web", 30)
		r.after(time.Minute)
		if pod := r.get("web"); pod != nil {
			t.Fatalf("it is there: %+v", pod.Status)
		}
		r.wantPhasesWritten(v1.PodSucceeded)
	})
}
