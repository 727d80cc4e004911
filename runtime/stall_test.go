package runtime

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/images"
	v1 "k8s.io/api/core/v1"
)

// stuck is a pull that never ends by itself.
func stuck(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// tell reports progress of a pull.
func (f *fakeEngine) tellProgress(ref string, p docker.Progress) {
	f.mu.Lock()
	report := f.report[ref]
	f.mu.Unlock()
	report(p)
}

func TestPullThatStallsDoesNotHoldItsImage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.pull = stuck
		r.withImage("a", "far/away:1", v1.PullIfNotPresent)
		r.after(images.StallTimeout / 2)
		r.withImage("b", "far/away:1", v1.PullIfNotPresent) // it joins
		r.after(images.StallTimeout / 2)
		for _, name := range []string{"a", "b"} {
			r.wantEvent(name, `Failed: Failed to pull image "far/away:1": nothing arrived for 2m0s: the download stalled`)
		}
		r.engine.mu.Lock()
		r.engine.pull = func(context.Context, string) error { return nil }
		r.engine.mu.Unlock()
		r.withImage("c", "far/away:1", v1.PullIfNotPresent) // it need not wait for the others' back-off
		r.wantState("c", "app", "running 0")
		r.after(images.PullRetryFirst + time.Second)
		r.wantState("a", "app", "running 0")
		r.wantState("b", "app", "running 0")
	})
}

func TestPullThatIsSlowGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.pull = stuck
		r.withImage("web", "far/away:1", v1.PullIfNotPresent)
		r.withImage("queued", "far/away:2", v1.PullIfNotPresent)
		r.engine.tellProgress("far/away:2", docker.Progress{Layer: "b", Status: "Waiting"})
		for n := range int64(10) {
			r.after(images.StallTimeout * 3 / 4)
			r.engine.tellProgress("far/away:1", docker.Progress{Layer: "a", Status: "Downloading", Current: n, Total: 100})
		}
		if got := r.engine.pulled(); !slices.Equal(got, []string{"far/away:1", "far/away:2"}) {
			t.Errorf("pulled %q", got)
		}
		// Now the queued one has its turn, and nothing comes.
		r.engine.tellProgress("far/away:2", docker.Progress{Layer: "b", Status: "Downloading", Current: 1, Total: 100})
		r.after(images.StallTimeout * 3 / 4)
		r.engine.tellProgress("far/away:1", docker.Progress{Layer: "a", Status: "Downloading", Current: 50, Total: 100})
		r.after(images.StallTimeout / 2)
		if slices.ContainsFunc(r.reasons("web"), func(s string) bool { return strings.Contains(s, "stalled") }) {
			t.Errorf("the pull that goes on was ended: %q", r.reasons("web"))
		}
		r.wantEvent("queued", "the download stalled")
	})
}
