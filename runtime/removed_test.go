package runtime

import (
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// prune removes all containers that do not run, as `docker container prune` does.
func (r *rig) prune() {
	r.t.Helper()
	r.engine.mu.Lock()
	var ids []string
	for id, c := range r.engine.containers {
		if !c.Running() {
			ids = append(ids, id)
		}
	}
	r.engine.mu.Unlock()
	r.remove(ids...)
}

// remove removes containers by name or ID, as `docker rm --force` does.
func (r *rig) remove(containers ...string) {
	r.t.Helper()
	for _, c := range containers {
		if err := r.engine.Remove(r.t.Context(), c); err != nil {
			r.t.Fatal(err)
		}
	}
	r.settle()
}

func (r *rig) wantPhase(pod string, phase v1.PodPhase, ready bool) {
	r.t.Helper()
	if s := r.get(pod).Status; s.Phase != phase || status.IsReady(s) != ready {
		r.t.Errorf("pod %s is %s, ready %t, want %s, %t: %+v", pod, s.Phase, status.IsReady(s), phase, ready, s.Conditions)
	}
}

// byAnyAgent runs a test with the agent that saw all, and with one that is started after containers are removed.
func byAnyAgent(t *testing.T, test func(t *testing.T, r *rig, prune func())) {
	t.Run("same agent", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) { test(t, r, r.prune) })
	})
	t.Run("next agent", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			test(t, r, func() {
				r.stop()
				r.prune()
				r.start()
			})
		})
	})
}

func TestRunningPodKeepsTheStatusOfAnInitContainerThatWasPruned(t *testing.T) {
	for _, policy := range []v1.RestartPolicy{v1.RestartPolicyAlways, v1.RestartPolicyOnFailure, v1.RestartPolicyNever} {
		byAnyAgent(t, func(t *testing.T, r *rig, prune func()) {
			r.pod("web", func(p *v1.Pod) {
				p.Spec.RestartPolicy = policy
				p.Spec.InitContainers = []v1.Container{app("init")}
			})
			r.engine.exit("k8s_init_web_ns_uid-web_0", 0)
			r.settle()
			prune()
			r.after(time.Minute)
			r.wantState("web", "init", "Completed 0")
			r.wantState("web", "app", "running 0")
			r.wantPhase("web", v1.PodRunning, true)
			r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_app_web_ns_uid-web_0 running")
		})
	}
}

// Nobody saw its end: the agent was down, and the API does not know it.
func TestInitContainerWhoseEndNobodySawDidItsPartIfAnotherFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.InitContainers = []v1.Container{app("init")} })
		before := r.get("web").Status
		r.engine.exit("k8s_init_web_ns_uid-web_0", 0)
		r.settle()
		r.stop()
		r.prune()
		pod := r.get("web").DeepCopy()
		pod.Status = before
		if _, err := r.client.CoreV1().Pods("ns").UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.after(time.Minute)
		r.wantState("web", "init", "Completed 0")
		r.wantState("web", "app", "running 0")
		r.wantPhase("web", v1.PodRunning, true)
	})
}

func TestInitContainerThatWasPrunedDoesNotRunBesideALaterOne(t *testing.T) {
	byAnyAgent(t, func(t *testing.T, r *rig, prune func()) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.InitContainers = []v1.Container{app("first"), sidecar("proxy"), app("last")}
		})
		r.engine.exit("k8s_first_web_ns_uid-web_0", 0)
		r.settle()
		r.engine.exit("k8s_proxy_web_ns_uid-web_0", 1)
		prune()
		r.after(time.Minute)
		r.wantState("web", "first", "Completed 0")
		r.wantState("web", "proxy", "running 1")
		r.wantState("web", "last", "running 0")
		r.wantPhase("web", v1.PodPending, false)
		r.engine.exit("k8s_last_web_ns_uid-web_0", 0)
		r.settle()
		r.wantState("web", "app", "running 0")
		r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_app_web_ns_uid-web_0 running", "k8s_last_web_ns_uid-web_0 exited", "k8s_proxy_web_ns_uid-web_1 running")
	})
}

func TestInitContainersThatWerePrunedRunAgainInANewSandboxOnly(t *testing.T) {
	byAnyAgent(t, func(t *testing.T, r *rig, prune func()) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyOnFailure
			p.Spec.InitContainers = []v1.Container{app("init")}
			p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = "late:1", v1.PullNever
		})
		r.engine.exit("k8s_init_web_ns_uid-web_0", 0)
		r.after(time.Minute)
		prune()
		r.after(time.Minute)
		r.wantState("web", "init", "Completed 0")
		r.wantState("web", "app", "waiting ErrImageNeverPull 0")
		r.wantNames("k8s_POD_web_ns_uid-web_0 running")
		r.engine.exit("k8s_POD_web_ns_uid-web_0", 137)
		r.after(2 * externalKillPause)
		prune()
		r.after(time.Minute)
		r.wantNames("k8s_POD_web_ns_uid-web_1 running", "k8s_init_web_ns_uid-web_1 running")
		r.engine.build("late:1")
		r.engine.exit("k8s_init_web_ns_uid-web_1", 0)
		r.after(time.Minute)
		r.wantState("web", "app", "running 0")
		r.wantPhase("web", v1.PodRunning, true)
	})
}

func TestContainerThatEndedForGoodStaysSoWhenItIsPruned(t *testing.T) {
	for _, c := range []struct {
		policy v1.RestartPolicy
		code   int
		state  string
		phase  v1.PodPhase // once the other has ended well
	}{
		{v1.RestartPolicyNever, 0, "Completed 0", v1.PodSucceeded},
		{v1.RestartPolicyNever, 3, "Error 0", v1.PodFailed},
		{v1.RestartPolicyOnFailure, 0, "Completed 0", v1.PodSucceeded},
	} {
		byAnyAgent(t, func(t *testing.T, r *rig, prune func()) {
			r.pod("job", func(p *v1.Pod) {
				p.Spec.RestartPolicy = c.policy
				p.Spec.Containers = []v1.Container{app("done"), app("other")}
			})
			r.engine.exit("k8s_done_job_ns_uid-job_0", c.code)
			r.settle()
			prune()
			r.after(time.Minute)
			r.wantState("job", "done", c.state)
			r.wantPhase("job", v1.PodRunning, false)
			r.wantNames("k8s_POD_job_ns_uid-job_0 running", "k8s_other_job_ns_uid-job_0 running")
			r.engine.exit("k8s_other_job_ns_uid-job_0", 0)
			r.settle()
			r.wantPhase("job", c.phase, false)
			r.wantState("job", "done", c.state)
			if end := pods.ContainerStatus(r.get("job"), "done").State.Terminated; int(end.ExitCode) != c.code || end.FinishedAt.IsZero() {
				t.Errorf("its end is %+v", end)
			}
		})
	}
}

func TestContainerThatWasRemovedWhileItRanEndsItsPodRightly(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.Containers = []v1.Container{app("one"), app("two")}
		})
		r.remove("k8s_one_job_ns_uid-job_0")
		r.after(time.Minute)
		r.wantState("job", "one", "ContainerStatusUnknown 0")
		r.wantPhase("job", v1.PodRunning, false)
		r.engine.exit("k8s_two_job_ns_uid-job_0", 0)
		r.settle()
		r.wantPhase("job", v1.PodFailed, false)
	})
}

func TestEndOfAContainerThatWasPrunedIsItsSuccessorsLastState(t *testing.T) {
	byAnyAgent(t, func(t *testing.T, r *rig, prune func()) {
		r.pod("web", nil)
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.settle()
		r.engine.exit("k8s_app_web_ns_uid-web_1", 5)
		r.settle()
		r.wantState("web", "app", "waiting CrashLoopBackOff 1")
		prune()
		r.after(time.Minute)
		r.wantState("web", "app", "running 2")
		if last := pods.ContainerStatus(r.get("web"), "app").LastTerminationState.Terminated; last == nil || last.ExitCode != 5 {
			t.Errorf("its last state is %+v", last)
		}
		r.wantPhase("web", v1.PodRunning, true)
	})
}

func TestOlderRunOfAContainerWhoseLastIsGoneDecidesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyOnFailure
			p.Spec.Containers = []v1.Container{app("done"), app("other")}
		})
		r.engine.exit("k8s_done_job_ns_uid-job_0", 1)
		r.settle()
		r.engine.exit("k8s_done_job_ns_uid-job_1", 0)
		r.settle()
		r.remove("k8s_done_job_ns_uid-job_1")
		r.after(time.Minute)
		r.wantState("job", "done", "Completed 1")
		r.wantNames("k8s_POD_job_ns_uid-job_0 running", "k8s_done_job_ns_uid-job_0 exited", "k8s_other_job_ns_uid-job_0 running")
	})
}

func TestInitContainerThatFailedForGoodAndWasPrunedFailsItsPod(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.InitContainers = []v1.Container{app("init")}
		})
		r.remove("k8s_init_job_ns_uid-job_0")
		r.after(time.Minute)
		r.wantState("job", "init", "ContainerStatusUnknown 0")
		r.wantPhase("job", v1.PodFailed, false)
	})
}

func TestEphemeralContainerThatWasPrunedKeepsItsEnd(t *testing.T) {
	byAnyAgent(t, func(t *testing.T, r *rig, prune func()) {
		r.pod("web", nil)
		r.debug("web", "debugger", "app")
		r.engine.exit("k8s_debugger_web_ns_uid-web_0", 3)
		r.settle()
		prune()
		r.after(time.Minute)
		r.wantState("web", "debugger", "Error 0")
		r.wantPhase("web", v1.PodRunning, true)
	})
}

func TestContainersCreatedAheadMayBePruned(t *testing.T) {
	byAnyAgent(t, func(t *testing.T, r *rig, prune func()) {
		r.pod("web", func(p *v1.Pod) { p.Spec.InitContainers = []v1.Container{app("init")} })
		if !slices.Contains(r.engine.names(), "k8s_app_web_ns_uid-web_0 created") {
			t.Fatalf("Docker has %q", r.engine.names())
		}
		prune()
		r.engine.exit("k8s_init_web_ns_uid-web_0", 0)
		r.after(time.Minute)
		r.wantState("web", "app", "running 0")
	})
}

// A kubelet too goes by the restart policy of what ended before.
func TestContainerThatEndedForGoodIsNotStartedForAnotherImage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.build("app:2")
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.Containers = []v1.Container{app("done"), app("other")}
		})
		r.engine.exit("k8s_done_job_ns_uid-job_0", 0)
		r.settle()
		pod := r.get("job").DeepCopy()
		pod.Spec.Containers[0].Image, pod.Generation = "app:2", 2
		if _, err := r.client.CoreV1().Pods("ns").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.after(time.Minute)
		r.wantState("job", "done", "Completed 0")
	})
}
