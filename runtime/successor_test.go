package runtime

import (
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
)

// follow waits for a container's next run in the background.
func (r *rig) follow(pod, container string) (result func() (next string, ok, done bool)) {
	id := r.engine.get("k8s_" + container + "_" + pod + "_ns_uid-" + pod + "_0").ID
	ref := refOf(r.get(pod))
	type answer struct {
		next string
		ok   bool
	}
	answers := make(chan answer, 1)
	go func() {
		next, ok := r.agent.successor(r.t.Context(), ref, container, id)
		answers <- answer{next, ok}
	}()
	return func() (string, bool, bool) {
		synctest.Wait()
		select {
		case a := <-answers:
			return a.next, a.ok, true
		default:
			return "", false, false
		}
	}
}

func TestFollowerGoesOnWithTheNextRun(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		result := r.follow("web", "app")
		if _, _, done := result(); done {
			t.Error("it did not wait while the container runs")
		}
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.after(time.Second)
		if next, ok, done := result(); !done || !ok || next != r.engine.get("k8s_app_web_ns_uid-web_1").ID {
			t.Errorf("got %q, %v, %v", next, ok, done)
		}
	})
}

func TestFollowerEndsWithWhatDoesNotRunAgain(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"a container that is not restarted": func(r *rig) { r.engine.exit("k8s_app_web_ns_uid-web_0", 0) },
		"a Pod that is deleted":             func(r *rig) { r.delete("web", 30) },
		"a Pod that is gone":                func(r *rig) { r.delete("web", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.pod("web", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyOnFailure })
				result := r.follow("web", "app")
				end(r)
				r.settle()
				if next, ok, done := result(); !done || ok {
					t.Errorf("got %q, %v, %v", next, ok, done)
				}
			})
		})
	}
}

func TestFollowerGoesOnWhenAllContainersAreRestarted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", family)
		init := r.follow("web", "init")
		r.engine.exit("k8s_init_web_ns_uid-web_0", 0)
		r.settle()
		if _, ok, done := init(); !done || ok {
			t.Error("it waits for an init container that has done its part")
		}
		r.engine.mu.Lock()
		r.engine.stopDelay = time.Minute // as long as it is let
		r.engine.mu.Unlock()
		victim := r.follow("web", "other")
		r.engine.exit("k8s_source_web_ns_uid-web_0", 42)
		r.after(time.Minute)
		r.engine.exit("k8s_init_web_ns_uid-web_1", 0)
		r.settle()
		if next, ok, done := victim(); !done || !ok || next != r.engine.get("k8s_other_web_ns_uid-web_1").ID {
			t.Errorf("got %q, %v, %v", next, ok, done)
		}
	})
}
