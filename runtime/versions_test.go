package runtime

import (
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
)

// Memory for each Pod: the informer has its newest version, and nothing else may keep another one for long.
func TestWorkersKeepNoOlderVersionOfTheirPods(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		pod := r.pod("web", nil)
		r.wantState("web", "app", "running 0")
		ref := pods.RefOf(pod)
		r.agent.workers.mu.Lock()
		last := r.agent.workers.jobs[ref.UID].state.last.Load()
		r.agent.workers.mu.Unlock()
		if last != r.agent.declared(ref) {
			t.Errorf("the worker has version %s with phase %s of a pod that is %s", last.ResourceVersion, last.Status.Phase, r.get("web").Status.Phase)
		}
	})
}
