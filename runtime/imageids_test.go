package runtime

import (
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

func TestImageIsShownByItsDigest(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.mu.Lock()
		r.engine.images["app:1"] = docker.Image{ID: "sha256:app:1", Digests: []string{"app@sha256:1"}}
		r.engine.mu.Unlock()
		r.pod("web", nil)
		if id := r.get("web").Status.ContainerStatuses[0].ImageID; id != "docker-pullable://app@sha256:1" {
			t.Errorf("shown as %s", id)
		}
	})
}
