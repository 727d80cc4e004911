package runtime

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
)

// commandProbe is a probe with the API's defaults.
func commandProbe(command string) *v1.Probe {
	return &v1.Probe{
		ProbeHandler:   v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{command}}},
		TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3,
	}
}

// answers lets commands in containers end as a test says.
type answers map[string]func() (code int, output string)

func (a answers) exec(_ context.Context, _ string, command []string, out io.Writer) (int, error) {
	code, output := a[command[0]]()
	_, _ = io.WriteString(out, output)
	return code, nil
}

func always(code int, output string) func() (int, string) {
	return func() (int, string) { return code, output }
}

func TestContainerThatFailsItsLivenessProbeIsRestarted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = answers{"live": always(1, "deadlock")}.exec
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].LivenessProbe = commandProbe("live") })
		r.after(15 * time.Second) // asked at 1 s and 11 s
		r.wantState("web", "app", "running 0")
		r.wantEvent("web", "Unhealthy: Liveness probe failed: deadlock")
		r.after(10 * time.Second)
		r.wantState("web", "app", "running 1")
		r.wantEvent("web", "Killing: Container app failed liveness probe, will be restarted")
	})
}

// As on a kubelet: nothing follows from a probe that cannot be asked.
func TestProbeWhoseCommandIsMissingTellsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = func(_ context.Context, container string, _ []string, _ io.Writer) (int, error) {
			return 0, &docker.NotStartedError{Container: container, Reason: `OCI runtime exec failed: exec: "live": executable file not found in $PATH: unknown`}
		}
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].LivenessProbe = commandProbe("live") })
		r.after(time.Minute)
		r.wantState("web", "app", "running 0")
		r.wantEvent("web", `Unhealthy: Liveness probe errored and resulted in unknown state: OCI runtime exec failed: exec: "live": executable file not found`)
	})
}

// The policy decides, not how the container ends when it is told to.
func TestRestartPolicyOfAContainerThatFailsItsLivenessProbe(t *testing.T) {
	for _, c := range []struct {
		policy      v1.RestartPolicy
		again, says string
	}{
		{v1.RestartPolicyOnFailure, "running 1", "Killing: Container app failed liveness probe, will be restarted"},
		{v1.RestartPolicyNever, "Completed 0", "Killing: Container app failed liveness probe"},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.engine.exec = answers{"live": always(1, "deadlock")}.exec
			r.pod("web", func(p *v1.Pod) {
				p.Spec.RestartPolicy, p.Spec.Containers[0].LivenessProbe = c.policy, commandProbe("live")
			})
			r.after(25 * time.Second) // asked at 1, 11 and 21 s
			r.wantState("web", "app", c.again)
			if !slices.Contains(r.reasons("web"), c.says) {
				t.Errorf("%s: %q", c.policy, r.reasons("web"))
			}
			if c.policy == v1.RestartPolicyOnFailure { // the next one has to wait
				r.after(25 * time.Second)
				r.wantState("web", "app", "waiting CrashLoopBackOff 1")
			}
		})
	}
}

func TestProbesOwnGracePeriodIsUsed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = answers{"live": always(1, "")}.exec
		r.engine.stopDelay = time.Hour
		grace := int64(5)
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].LivenessProbe = commandProbe("live")
			p.Spec.Containers[0].LivenessProbe.TerminationGracePeriodSeconds = &grace
		})
		r.after(24 * time.Second)
		r.wantState("web", "app", "running 0")
		r.after(4 * time.Second)
		r.wantState("web", "app", "running 1")
	})
}

func TestReadinessProbeDecidesWhetherThePodIsReady(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var code atomic.Int32
		code.Store(1)
		r.engine.exec = answers{"ready": func() (int, string) { return int(code.Load()), "not yet" }}.exec
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].ReadinessProbe = commandProbe("ready") })
		want := func(ready bool) {
			t.Helper()
			if pod := r.get("web"); status.IsReady(pod.Status) != ready || pod.Status.ContainerStatuses[0].Ready != ready {
				t.Errorf("ready is %v, want %v", status.IsReady(pod.Status), ready)
			}
		}
		want(false)
		r.after(12 * time.Second)
		want(false)
		r.wantEvent("web", "Unhealthy: Readiness probe failed: not yet")
		code.Store(0)
		r.after(10 * time.Second)
		want(true)
		code.Store(1)
		r.after(20 * time.Second) // two failures
		want(true)
		r.after(10 * time.Second)
		want(false)
		r.wantState("web", "app", "running 0")
	})
}

func TestPodThatComesUpSoonIsReadySoon(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		began := time.Now()
		r.engine.exec = answers{"ready": func() (int, string) {
			if time.Since(began) < 300*time.Millisecond {
				return 1, "starting"
			}
			return 0, ""
		}}.exec
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].ReadinessProbe = commandProbe("ready") })
		r.after(500 * time.Millisecond) // the probe's period is 10 s
		if !status.IsReady(r.get("web").Status) {
			t.Error("not ready")
		}
		if slices.ContainsFunc(r.reasons("web"), func(s string) bool { return strings.HasPrefix(s, "Unhealthy") }) {
			t.Errorf("events %q", r.reasons("web"))
		}
	})
}

func TestNothingIsAskedBeforeTheStartupProbeSucceeded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var starting, asked atomic.Int32
		starting.Store(1)
		r.engine.exec = answers{
			"start": func() (int, string) { return int(starting.Load()), "" },
			"live":  func() (int, string) { asked.Add(1); return 0, "" },
		}.exec
		r.pod("web", func(p *v1.Pod) {
			c := &p.Spec.Containers[0]
			c.StartupProbe, c.LivenessProbe = commandProbe("start"), commandProbe("live")
			c.StartupProbe.FailureThreshold = 10
		})
		r.after(45 * time.Second)
		if s := r.get("web").Status.ContainerStatuses[0]; asked.Load() > 0 || *s.Started || s.Ready {
			t.Errorf("asked %d times, started %v, ready %v", asked.Load(), *s.Started, s.Ready)
		}
		starting.Store(0)
		r.after(10 * time.Second)
		if s := r.get("web").Status.ContainerStatuses[0]; asked.Load() == 0 || !*s.Started || !s.Ready {
			t.Errorf("asked %d times, started %v, ready %v", asked.Load(), *s.Started, s.Ready)
		}
	})
}

func TestContainerThatDoesNotStartInTimeIsRestarted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = answers{"start": always(1, "")}.exec
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].StartupProbe = commandProbe("start") })
		r.after(22 * time.Second)
		r.wantState("web", "app", "running 1")
		r.wantEvent("web", "Killing: Container app failed startup probe, will be restarted")
	})
}

func TestRestartedAgentTakesNobodyOutOfService(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = answers{"ready": always(0, "")}.exec
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers[0].ReadinessProbe = commandProbe("ready") })
		r.after(time.Second)
		r.stop()
		r.engine.exec = answers{"ready": always(1, "")}.exec
		r.start()
		r.after(5 * time.Second)
		if !status.IsReady(r.get("web").Status) {
			t.Error("not ready any more after a restart")
		}
		r.after(30 * time.Second)
		if status.IsReady(r.get("web").Status) {
			t.Error("still ready after three failures")
		}
	})
}

func TestEndingContainerIsNotRestartedForItsLiveness(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.exec = answers{"live": always(1, "")}.exec
		r.engine.stopDelay = 25 * time.Second
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers[0].LivenessProbe = commandProbe("live")
			p.Spec.Containers[0].LivenessProbe.PeriodSeconds = 1
			p.Spec.Containers[0].LivenessProbe.FailureThreshold = 10
		})
		r.delete("web", 30)
		r.after(20 * time.Second)
		if slices.ContainsFunc(r.reasons("web"), func(s string) bool { return strings.Contains(s, "will be restarted") }) {
			t.Errorf("events %q", r.reasons("web"))
		}
		r.after(6 * time.Second)
		r.wantState("web", "app", "gone")
	})
}
