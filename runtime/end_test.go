package runtime

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"
)

func TestDeletedPodStaysUntilItsContainersAreGone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.engine.stopDelay = 20 * time.Second
		r.delete("web", 30)
		r.wantEvent("web", "Killing: Stopping container app")
		r.after(10 * time.Second)
		r.wantState("web", "app", "running 0")
		dir := r.agent.dirs.Pod("uid-web")
		r.after(11 * time.Second)
		r.wantState("web", "app", "gone")
		r.wantNames()
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("directory %s is left", dir)
		}
	})
}

func TestContainerThatIgnoresSIGTERMIsKilledAfterItsGrace(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.engine.stopDelay = time.Hour
		r.delete("web", 30)
		r.after(28 * time.Second)
		r.wantState("web", "app", "running 0")
		r.after(3 * time.Second)
		r.wantState("web", "app", "gone")
		r.wantNames()
	})
}

func TestShorterGraceIsHeeded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.engine.stopDelay = time.Hour
		r.delete("web", 300)
		r.after(5 * time.Second)
		r.delete("web", 2)
		r.after(4 * time.Second)
		r.wantState("web", "app", "gone")
	})
}

func TestPodDeletedByForceGivesItsContainersAMoment(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: commandHook("drain")} })
		r.engine.stopDelay = time.Hour
		r.engine.history()
		r.delete("web", 0)
		r.agent.workers.enqueue(pods.Ref{Namespace: "ns", Name: "web", UID: "uid-web"}) // nobody is told twice
		r.after(leastGrace / 4)
		r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_app_web_ns_uid-web_0 running")
		r.after(leastGrace)
		r.wantNames()
		if acts := r.engine.history(); len(acts) != 3 || acts[0] != "stop k8s_app_web_ns_uid-web_0" {
			t.Errorf("acts %q, want one stop and the removals", acts)
		}
	})
}

// Also one that is to end at once.
func TestContainersGetAMomentToEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.stopDelay = time.Hour
		r.pod("web", nil)
		r.delete("web", 1)
		r.after(leastGrace / 2)
		r.wantState("web", "app", "running 0")
		r.after(time.Second)
		r.wantState("web", "app", "gone")
	})
}

func TestNameTakenOverByANewPod(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.delete("web", 0)
		r.pod("web", func(p *v1.Pod) { p.UID = "uid-second" })
		r.wantNames("k8s_POD_web_ns_uid-second_0 running", "k8s_app_web_ns_uid-second_0 running")
	})
}

func TestLastStatusIsWrittenBeforeThePodGoes(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var last *v1.Pod
		r.client.PrependReactor("update", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
			if a.GetSubresource() == "status" {
				last = a.(ktesting.UpdateAction).GetObject().(*v1.Pod)
			}
			return false, nil, nil
		})
		r.pod("web", nil)
		r.delete("web", 30)
		r.wantState("web", "app", "gone")
		if s := last.Status; s.Phase != v1.PodSucceeded || s.ContainerStatuses[0].State.Terminated == nil || s.ContainerStatuses[0].State.Terminated.Reason != "Completed" {
			t.Errorf("the last status is %+v", s)
		}
	})
}

func TestStoppedPodsComeBackAtTheNextStartOnceRestarted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("a", nil)
		r.pod("b", nil)
		if err := r.agent.StopPods(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.settle()
		if names := r.engine.names(); slices.Contains(names, "k8s_app_a_ns_uid-a_0 running") || slices.Contains(names, "k8s_POD_b_ns_uid-b_0 running") {
			t.Errorf("Docker has %q", names)
		}
		r.stop()
		r.start()
		r.after(time.Second)
		r.wantState("a", "app", "running 1")
		r.wantState("b", "app", "running 1")
	})
}

func TestEndOfRunLeavesContainersRunning(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.stop()
		r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_app_web_ns_uid-web_0 running")
	})
}

func TestStopThatIsNotNeededAnyMoreWakesNobody(t *testing.T) {
	now, s := time.Now(), newPodState(pods.Ref{})
	s.stops["needless"], s.stops["other"] = &stopping{due: now.Add(-time.Second)}, &stopping{due: now.Add(time.Minute)}
	if due := s.stopsDue(now); due != now.Add(time.Minute) {
		t.Errorf("the next look is in %v", due.Sub(now))
	}
}
