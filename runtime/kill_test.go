package runtime

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
)

// killPoints is more than the steps of any of the stories below.
const killPoints = 25

// killAt runs a story with an agent that ends right after its nth step, starts another
// one, and checks what has become of it.
func killAt(t *testing.T, n int, story func(*rig), check func(*testing.T, *rig)) {
	inBubble(t, func(t *testing.T, r *rig) {
		var steps atomic.Int32
		r.step = func(string) {
			if int(steps.Add(1)) == n {
				r.cancel()
			}
		}
		story(r)
		r.step = nil
		r.stop()
		r.start()
		r.after(time.Minute)
		t.Logf("%d steps", steps.Load())
		check(t, r)
	})
}

func TestAgentKilledAfterAnyStepOfAStartGoesOn(t *testing.T) {
	for n := 1; n < killPoints; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			killAt(t, n, func(r *rig) {
				r.pod("web", func(p *v1.Pod) { p.Spec.Containers = []v1.Container{app("one"), app("two")} })
			}, func(t *testing.T, r *rig) {
				r.wantState("web", "one", "running 0")
				r.wantState("web", "two", "running 0")
				r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_one_web_ns_uid-web_0 running", "k8s_two_web_ns_uid-web_0 running")
				if !status.IsReady(r.get("web").Status) {
					t.Errorf("status %+v", r.get("web").Status)
				}
			})
		})
	}
}

func TestAgentKilledAfterAnyStepOfAnEndGoesOn(t *testing.T) {
	for n := 1; n < killPoints; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			killAt(t, n, func(r *rig) {
				r.pod("web", nil)
				r.delete("web", 30)
			}, func(_ *testing.T, r *rig) {
				if r.state("web", "app") != "gone" && r.get("web").DeletionTimestamp == nil {
					return // it was killed before the deletion
				}
				r.wantState("web", "app", "gone")
				r.wantNames()
			})
		})
	}
}

func TestAgentKilledAfterAnyStepOfARestartCountsItOnce(t *testing.T) {
	for n := 1; n < killPoints; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			killAt(t, n, func(r *rig) {
				r.pod("web", nil)
				if !slices.Contains(r.engine.names(), "k8s_app_web_ns_uid-web_0 running") {
					return
				}
				r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
				r.settle()
			}, func(_ *testing.T, r *rig) {
				want := "running 0"
				if c := r.engine.get("k8s_app_web_ns_uid-web_0"); c != nil && !c.Running() {
					want = "running 1"
				}
				r.wantState("web", "app", want)
			})
		})
	}
}

// Init container, volumes, hook and probe: all that can be under way.
func TestAgentKilledAfterAnyStepOfARichPodGoesOn(t *testing.T) {
	for n := 1; n < killPoints; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			killAt(t, n, func(r *rig) {
				r.engine.exec = slowly(time.Second, 0)
				r.pod("web", func(p *v1.Pod) {
					p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
					p.Spec.InitContainers = []v1.Container{sidecar("proxy"), app("init")}
					p.Spec.Containers[0].Lifecycle = &v1.Lifecycle{PostStart: commandHook("warm-up"), PreStop: commandHook("drain")}
					p.Spec.Containers[0].ReadinessProbe = commandProbe("ready")
				})
				if c := r.engine.get("k8s_init_web_ns_uid-web_0"); c != nil && c.Running() {
					r.engine.exit(c.Name, 0)
				}
				r.settle()
				r.after(3 * time.Second)
			}, func(t *testing.T, r *rig) {
				if c := r.engine.get("k8s_init_web_ns_uid-web_0"); c != nil && c.Running() {
					r.engine.exit(c.Name, 0)
					r.after(time.Minute)
				}
				for _, c := range []string{"proxy", "app"} {
					r.wantState("web", c, "running 0")
				}
				if !status.IsReady(r.get("web").Status) {
					t.Errorf("status %+v", r.get("web").Status)
				}
				r.delete("web", 30)
				r.after(time.Minute)
				r.wantState("web", "app", "gone")
				r.wantNames()
			})
		})
	}
}
