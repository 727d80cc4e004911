package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
)

func TestGroupsAreMergedOrNotAsThePolicySays(t *testing.T) {
	seven, nine, strict := int64(7), int64(9), v1.SupplementalGroupsPolicyStrict
	for _, c := range []struct {
		image      string // its user
		user, gid  *int64
		policy     *v1.SupplementalGroupsPolicy
		wantUser   string
		wantGroups []string
		reads      int // of the image's files
	}{
		{"", nil, nil, nil, "", []string{"42"}, 0}, // Docker merges them itself
		{"", &seven, nil, nil, "7", []string{"42"}, 0},
		{"app:app", nil, nil, nil, "", []string{"42"}, 0},
		{"", &seven, &nine, nil, "7:9", []string{"42", "70", "71"}, 1},
		{"", nil, &nine, nil, "0:9", []string{"42"}, 1},
		{"1000", nil, &nine, nil, "1000:9", []string{"42"}, 1}, // unknown to the image
		{"app:app", nil, &nine, nil, "app:9", []string{"42", "70", "71"}, 1},
		{"", &seven, &nine, &strict, "7:9", []string{"42"}, 0},
		{"", &seven, nil, &strict, "7:77", []string{"42"}, 1},
		{"app", nil, nil, &strict, "app:77", []string{"42"}, 1},
		{"app:staff", nil, nil, &strict, "app:staff", []string{"42"}, 0},
		{"app:staff", &seven, nil, &strict, "7:77", []string{"42"}, 1},
		{"", nil, nil, &strict, "0:0", []string{"42"}, 1},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.engine.mu.Lock()
			r.engine.images["app:1"] = docker.Image{ID: "sha256:app:1", User: c.image}
			r.engine.texts = map[string]string{"/etc/passwd": "root:x:0:0::/:\napp:x:7:77::/:\n", "/etc/group": "root:x:0:\napp:x:77:\nmore:x:70:app\nyet:x:71:root2,app\n"}
			r.engine.mu.Unlock()
			r.pod("web", func(p *v1.Pod) {
				p.Spec.SecurityContext = &v1.PodSecurityContext{RunAsUser: c.user, RunAsGroup: c.gid, SupplementalGroupsPolicy: c.policy, SupplementalGroups: []int64{42}}
				p.Spec.Containers = append(p.Spec.Containers, app("two"))
			})
			spec := r.engine.get("k8s_app_web_ns_uid-web_0").spec
			if spec.User != c.wantUser || !slices.Equal(spec.Groups, c.wantGroups) {
				t.Errorf("%+v: runs as %q with %q", c, spec.User, spec.Groups)
			}
			if r.engine.textReads != c.reads {
				t.Errorf("%+v: the image was read %d times", c, r.engine.textReads)
			}
		})
	}
}

func TestStatusTellsWhoAContainerRanAsFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		as := func(user int) {
			for pid := range 20 { // whichever number it gets
				groupFile(t, r.groups.Proc, fmt.Sprintf("%d/status", pid), fmt.Sprintf("Name:\tapp\nUid:\t%[1]d\t0\t0\t0\nGid:\t8\t0\t0\t0\nGroups:\t8 42 \n", user))
			}
		}
		as(7)
		r.pod("web", nil)
		want := &v1.ContainerUser{Linux: &v1.LinuxContainerUser{UID: 7, GID: 8, SupplementalGroups: []int64{8, 42}}}
		check := func(when string, want *v1.ContainerUser) {
			t.Helper()
			if got := r.get("web").Status.ContainerStatuses[0].User; !reflect.DeepEqual(got, want) {
				t.Errorf("%s it runs as %+v", when, got)
			}
		}
		check("at first", want)
		as(1000)
		r.stop()
		r.start()
		check("after a restart of the agent", want)
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.settle()
		want.Linux.UID = 1000
		check("the next container", want)
		if err := os.RemoveAll(filepath.Join(r.groups.Proc)); err != nil {
			t.Fatal(err)
		}
		r.engine.exit("k8s_app_web_ns_uid-web_1", 1)
		r.settle()
		check("in back-off", want)
	})
}
