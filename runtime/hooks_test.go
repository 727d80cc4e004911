package runtime

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
)

func commandHook(command string) *v1.LifecycleHandler {
	return &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{command}}}
}

// slowly is an exec of the fake engine that takes its time.
func slowly(d time.Duration, code int) func(context.Context, string, []string, io.Writer) (int, error) {
	return func(ctx context.Context, _ string, _ []string, _ io.Writer) (int, error) {
		select {
		case <-time.After(d):
			return code, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func TestContainerRunsWhenItsPostStartHookIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = slowly(10*time.Second, 0)
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers = []v1.Container{app("proxy"), app("app")}
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: commandHook("warm-up")}
		})
		r.wantState("web", "proxy", "waiting ContainerCreating 0")
		if c := r.engine.get("k8s_app_web_ns_uid-web_0"); c != nil {
			t.Error("the next container did not wait for the hook")
		}
		r.after(10 * time.Second)
		r.wantState("web", "proxy", "running 0")
		r.wantState("web", "app", "running 0")
	})
}

func TestContainerWhoseImageIsMissingHoldsNobodyUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers = []v1.Container{app("proxy"), app("app")}
			p.Spec.Containers[0].Image = "missing:1"
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: commandHook("warm-up")}
		})
		r.after(2 * time.Second)
		r.wantState("web", "app", "running 0")
	})
}

func TestFailedPostStartHookEndsTheContainer(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = answers{"warm-up": always(3, "too cold")}.exec
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: commandHook("warm-up")}
		})
		if !slices.Contains(r.reasons("web"), "FailedPostStartHook: PostStartHook failed") {
			t.Errorf("events %q", r.reasons("web"))
		}
		r.wantEvent("web", "Killing: FailedPostStartHook")
		r.after(5 * time.Second)
		r.wantState("web", "app", "waiting CrashLoopBackOff 1")
	})
}

// It would get traffic for as long as it takes to end.
func TestContainerWhosePostStartHookFailedIsNotReady(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = answers{"warm-up": always(3, "too cold")}.exec
		r.engine.stopDelay = 20 * time.Second
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: commandHook("warm-up")}
		})
		r.after(5 * time.Second)
		r.wantState("web", "app", "waiting PostStartHookError 0")
		s := r.get("web").Status
		if status.IsReady(s) || s.ContainerStatuses[0].Ready || !strings.Contains(s.ContainerStatuses[0].State.Waiting.Message, "too cold") {
			t.Errorf("status %+v", s.ContainerStatuses[0])
		}
		r.after(20 * time.Second)
		r.wantState("web", "app", "waiting PostStartHookError 1") // the next one
	})
}

func TestHookThatCannotBeNotedIsDoneNevertheless(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = func(context.Context, string, []string, io.Writer) (int, error) {
			return 0, os.WriteFile(filepath.Join(r.agent.dirs.Pod("uid-web"), "hooks"), nil, 0o600) // in the way of the directory
		}
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: commandHook("warm-up")}
		})
		r.after(10 * time.Second)
		r.wantState("web", "app", "running 0")
	})
}

func TestPodIsDeletedWhileItsPostStartHookHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = slowly(time.Hour, 0)
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: commandHook("hang")}
		})
		r.delete("web", 30)
		r.after(time.Second)
		r.wantState("web", "app", "gone")
		r.wantNames()
	})
}

func TestHookThatWasCutOffIsRunAgainAndAHookThatWasDoneIsNot(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = slowly(10*time.Second, 0)
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: commandHook("warm-up")}
		})
		count := func() (n int) {
			for _, act := range r.engine.history() {
				if strings.HasPrefix(act, "exec ") {
					n++
				}
			}
			return n
		}
		r.stop()
		r.start()
		if n := count(); n != 2 {
			t.Errorf("the hook was begun %d times, want 2", n)
		}
		r.after(11 * time.Second)
		r.wantState("web", "app", "running 0")
		r.stop()
		r.start()
		if n := count(); n != 0 {
			t.Errorf("the hook was begun again after it was done")
		}
		r.wantState("web", "app", "running 0")
	})
}

func TestPreStopHookRunsBeforeTheStopSignal(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = slowly(10*time.Second, 0)
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: commandHook("drain")}
		})
		r.engine.history()
		r.delete("web", 30)
		r.after(5 * time.Second)
		r.wantState("web", "app", "running 0")
		r.after(6 * time.Second)
		r.wantState("web", "app", "gone")
		acts := r.engine.history()
		exec, stop := slices.Index(acts, "exec k8s_app_web_ns_uid-web_0 drain"), slices.Index(acts, "stop k8s_app_web_ns_uid-web_0")
		if exec < 0 || stop < exec {
			t.Errorf("acts %q", acts)
		}
	})
}

func TestPreStopHookThatHangsEndsWithTheGracePeriod(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = slowly(time.Hour, 0)
		r.engine.stopDelay = time.Hour
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: commandHook("hang")}
		})
		r.delete("web", 30)
		r.after(28 * time.Second)
		r.wantState("web", "app", "running 0")
		r.after(5 * time.Second) // two seconds to end after the hook
		r.wantState("web", "app", "gone")
		r.wantEvent("web", "FailedPreStopHook: PreStopHook failed")
	})
}

func TestForcedEndRunsNoHook(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = slowly(time.Hour, 0)
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: commandHook("hang")}
		})
		r.delete("web", 0)
		r.wantNames()
	})
}

func TestPreStopSleep(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PreStop: &v1.LifecycleHandler{Sleep: &v1.SleepAction{Seconds: 7}}}
		})
		r.delete("web", 30)
		r.after(6 * time.Second)
		r.wantState("web", "app", "running 0")
		r.after(2 * time.Second)
		r.wantState("web", "app", "gone")
	})
}

// sidecar is an init container that runs beside the others.
func sidecar(name string) v1.Container {
	c, policy := app(name), v1.ContainerRestartPolicyAlways
	c.RestartPolicy = &policy
	return c
}

func TestSidecarsEndAfterTheOthersTheLastOneFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.stopDelay = 2 * time.Second
		r.pod("web", func(p *v1.Pod) { p.Spec.InitContainers = []v1.Container{sidecar("first"), sidecar("second")} })
		r.wantState("web", "app", "running 0")
		r.engine.history()
		r.delete("web", 30)
		r.after(10 * time.Second)
		r.wantState("web", "app", "gone")
		var stops []string
		for _, act := range r.engine.history() {
			if name, ok := strings.CutPrefix(act, "stop k8s_"); ok {
				stops = append(stops, strings.Split(name, "_")[0])
			}
		}
		if want := []string{"app", "second", "first"}; !slices.Equal(stops, want) {
			t.Errorf("stopped %q, want %q", stops, want)
		}
	})
}

func TestSidecarsOfAFinishedPodEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.stopDelay = 2 * time.Second
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.InitContainers = []v1.Container{sidecar("log")}
		})
		r.engine.exit("k8s_app_job_ns_uid-job_0", 0)
		r.after(time.Second)
		r.wantState("job", "log", "running 0")
		if pod := r.get("job"); pod.Status.Phase != v1.PodRunning {
			t.Errorf("while a sidecar runs, the phase is %s", pod.Status.Phase)
		}
		r.after(2 * time.Second)
		if pod := r.get("job"); pod.Status.Phase != v1.PodSucceeded {
			t.Errorf("phase %s", pod.Status.Phase)
		}
		r.wantNames("k8s_app_job_ns_uid-job_0 exited", "k8s_log_job_ns_uid-job_0 exited")
	})
}

func TestSidecarHoldsTheOthersUpUntilItHasStarted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var code atomic.Int32
		code.Store(1)
		r.engine.exec = answers{"up": func() (int, string) { return int(code.Load()), "" }}.exec
		r.pod("web", func(p *v1.Pod) {
			p.Spec.InitContainers = []v1.Container{sidecar("proxy"), app("init")}
			p.Spec.InitContainers[0].StartupProbe = commandProbe("up")
		})
		r.after(5 * time.Second)
		r.wantState("web", "proxy", "running 0")
		r.wantState("web", "init", "waiting PodInitializing 0")
		code.Store(0)
		r.after(10 * time.Second)
		r.engine.exit("k8s_init_web_ns_uid-web_0", 0)
		r.after(time.Second)
		r.wantState("web", "app", "running 0")
	})
}
