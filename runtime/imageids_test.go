package runtime

import (
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
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

func TestImageIsAskedForAgainWhenDockerDidNotAnswer(t *testing.T) {
	engine, agent := newFakeEngine(), &tasks{}
	engine.images["app:1"] = docker.Image{ID: "sha256:1", Digests: []string{"app@sha256:1"}}
	agent.open(t.Context())
	poked := 0
	ids := newImageIDs(engine, agent, func(pods.Ref) { poked++ })
	engine.down = true
	shown := ids.show(pods.Ref{}, "sha256:1")
	agent.wg.Wait()
	engine.down = false
	ids.show(pods.Ref{}, "sha256:1")
	agent.wg.Wait()
	if again := ids.show(pods.Ref{}, "sha256:1"); shown != "docker://sha256:1" || again != "docker-pullable://app@sha256:1" || poked != 1 {
		t.Errorf("shown as %s, then as %s; the Pod was poked %d times", shown, again, poked)
	}
}
