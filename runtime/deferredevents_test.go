package runtime

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
		"a container's own step": {same, restarted, statusPause},
	} {
		s := &statuses{pause: statusPause}
		if got := s.delay(status(c.before), status(c.after)); got != c.want {
			t.Errorf("%s: waits %v, want %v", name, got, c.want)
		}
	}
}

// What is told of a start that takes half a second, with an init container: that it
// began, and that the Pod is ready.
func TestStepsOfAStartAreWrittenTogether(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.agent.statuses.pause = statusPause
		r.pod("web", func(p *v1.Pod) {
			p.Spec.InitContainers = []v1.Container{app("first")}
		})
		time.Sleep(300 * time.Millisecond) // it started in one second, and ends in the next or not
		r.engine.exit("k8s_first_web_ns_uid-web_0", 0)
		r.after(time.Minute)
		if !isReady(r.get("web").Status) {
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
		r.agent.statuses.pause = statusPause
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
