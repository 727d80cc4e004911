package runtime

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestContainerIsFoundByItsPodAndName(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.settle()
		want := r.engine.get("k8s_app_web_ns_uid-web_1").ID
		for _, uid := range []types.UID{"", "uid-web"} {
			if got, err := r.agent.containerID("ns", "web", uid, "app"); err != nil || got != want {
				t.Errorf("uid %q: got %s, %v, want the latest, %s", uid, got, err, want)
			}
		}
		if got, err := r.agent.containerID("ns", "web", "uid-other", "app"); err == nil {
			t.Errorf("another Pod's: %s", got)
		}
		if _, err := r.agent.containerID("ns", "none", "", "app"); err == nil || err.Error() != `pod "none" not found` {
			t.Errorf("no such pod: %v", err)
		}
	})
}
