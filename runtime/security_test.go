package runtime

import (
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

func TestNonRootIsHeldToItsWord(t *testing.T) {
	yes, root, other := true, int64(0), int64(1000)
	for _, test := range []struct {
		name, user string // of the image
		pod        *int64 // runAsUser
		want       string // part of the message; empty: it runs
	}{
		{name: "an image of root", want: "container has runAsNonRoot and image will run as root"},
		{name: "an image of root by number", user: "0:0", want: "container has runAsNonRoot and image will run as root"},
		{name: "an image of a named user", user: "www", want: "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root"},
		{name: "an image of a numbered user", user: "65532:65532"},
		{name: "a Pod that chooses another user", pod: &other},
		{name: "a Pod that chooses root", user: "65532", pod: &root, want: "container's runAsUser breaks non-root policy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.engine.mu.Lock()
				image := r.engine.images["app:1"]
				image.User = test.user
				r.engine.images["app:1"] = image
				r.engine.mu.Unlock()
				r.pod("web", func(p *v1.Pod) {
					p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: test.pod}
				})
				if test.want == "" {
					r.wantState("web", "app", "running 0")
					return
				}
				r.wantState("web", "app", "waiting CreateContainerConfigError 0")
				r.wantEvent("web", "Failed: Error: "+test.want)
			})
		})
	}
}

func TestPodThatWasTurnedAwayHasFailed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		no := false
		r.pod("web", func(p *v1.Pod) { p.Spec.HostUsers = &no })
		want := func() {
			t.Helper()
			r.after(time.Second)
			s := r.get("web").Status
			if s.Phase != v1.PodFailed || s.Reason != "UserNamespacesNotSupported" || !strings.HasPrefix(s.Message, "Pod was rejected: hostUsers: false asks for") {
				t.Errorf("status %s %q %q", s.Phase, s.Reason, s.Message)
			}
			if len(s.ContainerStatuses) > 0 {
				t.Errorf("its container is %+v", s.ContainerStatuses[0])
			}
			r.wantNames()
		}
		want()
		r.stop()
		r.start()
		want()
	})
}
