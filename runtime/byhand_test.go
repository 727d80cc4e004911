package runtime

import (
	"slices"
	"testing"
	"time"

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
