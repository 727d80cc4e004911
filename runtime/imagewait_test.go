package runtime

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

func TestBuiltImageIsNoticedAtOnce(t *testing.T) {
	for _, policy := range []v1.PullPolicy{v1.PullNever, v1.PullIfNotPresent} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.withImage("web", "mine:1", policy)
			r.after(3 * time.Minute)
			r.engine.build("mine:1")
			r.settle() // a fraction of a second
			r.wantState("web", "app", "running 0")
		})
	}
}
