package files

import (
	"testing"

	"github.com/kube-lite/kube-lite/runtime/volume"
	v1 "k8s.io/api/core/v1"
)

func TestTokenIsForItsReaderOnly(t *testing.T) {
	user, other, group := int64(1000), int64(1001), int64(2000)
	pod := func(change func(*v1.PodSpec)) *v1.Pod {
		p := &v1.Pod{Spec: v1.PodSpec{SecurityContext: &v1.PodSecurityContext{}, Containers: []v1.Container{app("a"), app("b")}}}
		change(&p.Spec)
		return p
	}
	for _, c := range []struct {
		what string
		pod  *v1.Pod
		want volume.File
	}{
		{"nobody known", pod(func(*v1.PodSpec) {}), volume.File{Data: "x", Mode: 0o644}},
		{"one user", pod(func(s *v1.PodSpec) { s.SecurityContext.RunAsUser = &user }), volume.File{Data: "x", Mode: 0o600, Owner: 1000}},
		{"a group", pod(func(s *v1.PodSpec) { s.SecurityContext.FSGroup = &group }), volume.File{Data: "x", Mode: 0o600}},
		{"two users", pod(func(s *v1.PodSpec) {
			s.SecurityContext.RunAsUser = &user
			s.Containers[1].SecurityContext = &v1.SecurityContext{RunAsUser: &other}
		}), volume.File{Data: "x", Mode: 0o644}},
		{"a user of one container only", pod(func(s *v1.PodSpec) {
			s.Containers[0].SecurityContext = &v1.SecurityContext{RunAsUser: &user}
		}), volume.File{Data: "x", Mode: 0o644}},
	} {
		p := &projection{pod: c.pod, files: volume.Files{}}
		p.addToken("token", "x", nil)
		if got := p.files["token"]; got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}
