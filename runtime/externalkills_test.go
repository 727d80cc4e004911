package runtime

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

// What others do to containers behind the agent's back; failures_docker_test.go does it on Docker.

func TestDeadSandboxRebuildsThePod(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) { p.Spec.Containers = []v1.Container{app("one"), app("two")} })
		r.engine.exit("k8s_POD_web_ns_uid-web_0", 137)
		r.settle()
		r.after(time.Second)
		r.wantState("web", "one", "running 1")
		r.wantState("web", "two", "running 1")
		r.wantEvent("web", "SandboxChanged: Pod sandbox changed, it will be killed and re-created.")
		if names := r.engine.names(); !slices.Contains(names, "k8s_POD_web_ns_uid-web_1 running") {
			t.Errorf("Docker has %q", names)
		}
	})
}

func TestSandboxThatSomebodyRestartedIsDead(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		const sandbox = "k8s_POD_web_ns_uid-web_0"
		r.engine.restart(sandbox)
		r.settle()
		r.after(time.Second)
		r.wantState("web", "app", "running 1")
		r.wantEvent("web", "SandboxChanged: Pod sandbox changed, it will be killed and re-created.")
		if names := r.engine.names(); !slices.Contains(names, "k8s_POD_web_ns_uid-web_1 running") || slices.Contains(names, sandbox+" running") {
			t.Errorf("Docker has %q", names)
		}
	})
}

func TestContainerThatSomebodyStartsBesideItsSuccessorIsEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		const first = "k8s_app_web_ns_uid-web_0"
		r.engine.exit(first, 1) // docker restart: it is stopped,
		r.settle()
		if err := r.engine.Start(t.Context(), first); err != nil { // and started
			t.Fatal(err)
		}
		r.settle()
		r.wantState("web", "app", "running 1")
		if names := r.engine.names(); !slices.Contains(names, "k8s_app_web_ns_uid-web_1 running") || slices.Contains(names, first+" running") {
			t.Errorf("Docker has %q", names)
		}
	})
}

func (r *rig) wantNoWarning(pod string) {
	r.t.Helper()
	for _, e := range r.reasons(pod) {
		if strings.HasPrefix(e, "Failed") || strings.HasPrefix(e, "BackOff") {
			r.t.Errorf("event %q", e)
		}
	}
}

// Whatever the order, and whether they are removed at once or one by one.
func TestAllContainersRemovedByHandComeBackOnce(t *testing.T) {
	const sandbox, one, two = "k8s_POD_web_ns_uid-web_0", "k8s_one_web_ns_uid-web_0", "k8s_two_web_ns_uid-web_0"
	for _, order := range [][]string{{one, two, sandbox}, {one, sandbox, two}, {sandbox, one, two}} {
		for _, pause := range []time.Duration{0, 20 * time.Millisecond, externalKillPause / 2} {
			inBubble(t, func(t *testing.T, r *rig) {
				r.pod("web", func(p *v1.Pod) { p.Spec.Containers = []v1.Container{app("one"), app("two")} })
				for _, c := range order {
					if err := r.engine.Remove(t.Context(), c); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					time.Sleep(pause)
				}
				r.after(time.Minute)
				r.wantState("web", "one", "running 1")
				r.wantState("web", "two", "running 1")
				r.wantNames("k8s_POD_web_ns_uid-web_0 running", "k8s_one_web_ns_uid-web_1 running", "k8s_two_web_ns_uid-web_1 running")
				r.wantNoWarning("web")
			})
		}
	}
}

// The sandbox ends in the moment in which a container is started in it. Docker may take it for running still.
func TestContainerThatLosesItsSandboxAtItsStartIsNotToBlame(t *testing.T) {
	const sandbox = "k8s_POD_web_ns_uid-web_0"
	for _, late := range []time.Duration{0, sandboxEndTimeout / 2} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.pod("web", nil)
			r.engine.mu.Lock()
			r.engine.startErr = func(docker.ContainerSpec) error {
				r.engine.startErr = nil
				time.AfterFunc(late, func() { r.engine.exit(sandbox, 137) })
				return errors.New("namespace path: lstat /proc/1/ns/ipc: no such file or directory")
			}
			r.engine.mu.Unlock()
			r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
			r.after(5 * time.Second)
			r.wantState("web", "app", "running 1")
			r.wantNames("k8s_POD_web_ns_uid-web_1 running", "k8s_app_web_ns_uid-web_0 exited", "k8s_app_web_ns_uid-web_1 running")
			r.wantNoWarning("web")
		})
	}
}

func TestContainerRemovedBeforeItsStartIsCreatedAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var removed atomic.Bool
		r.step = func(act string) {
			if c := r.engine.get("k8s_app_web_ns_uid-web_0"); act == "created" && c != nil && !removed.Swap(true) {
				if err := r.engine.Remove(t.Context(), c.ID); err != nil {
					t.Error(err)
				}
			}
		}
		r.pod("web", nil)
		r.after(5 * time.Second)
		r.wantState("web", "app", "running 0")
		r.wantNoWarning("web")
	})
}
