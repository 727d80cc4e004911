package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

// ownerOf is a file's user, group and mode.
func ownerOf(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d %04o", stat.Uid, stat.Gid, stat.Mode&0o7777)
}

// aFile makes a directory with a file that only its owner may read.
func aFile(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

// grouped gives a Pod an fsGroup.
func grouped(group int64, policy *v1.PodFSGroupChangePolicy) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.SecurityContext = &v1.PodSecurityContext{FSGroup: &group, FSGroupChangePolicy: policy}
	}
}

func TestVolumeIsGivenToThePodsGroupAsItsPolicySays(t *testing.T) {
	always, mismatch := v1.FSGroupChangeAlways, v1.FSGroupChangeOnRootMismatch
	for _, c := range []struct {
		what     string
		source   func(dir string) v1.PersistentVolumeSource
		policy   *v1.PodFSGroupChangePolicy
		rootIs   bool // the group's already
		readOnly bool
		want     string // of the file in it
	}{
		{"local", localPV, nil, false, false, "0:77 0660"},
		{"local whose root is right", localPV, &always, true, false, "0:77 0660"},
		{"local whose root is right, and decides", localPV, &mismatch, true, false, "0:0 0600"},
		{"local whose root is not right", localPV, &mismatch, false, false, "0:77 0660"},
		{"read-only", localPV, nil, false, true, "0:0 0600"},
		{"hostPath", func(dir string) v1.PersistentVolumeSource {
			return v1.PersistentVolumeSource{HostPath: &v1.HostPathVolumeSource{Path: dir}}
		}, nil, false, false, "0:0 0600"},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			dir, file := aFile(t)
			if c.rootIs {
				if err := os.Chown(dir, 0, 77); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(dir, 0o770|os.ModeSetgid); err != nil {
					t.Fatal(err)
				}
			}
			r.claim("it", c.source(dir), nil)
			r.pod("web", func(p *v1.Pod) {
				grouped(77, c.policy)(p)
				source := claimSource("it")
				source.PersistentVolumeClaim.ReadOnly = c.readOnly
				mounting(source)(p)
			})
			r.wantState("web", "app", "running 0")
			if got := ownerOf(t, file); got != c.want {
				t.Errorf("%s: the file is %s, want %s", c.what, got, c.want)
			}
			if got := r.engine.get("k8s_app_web_ns_uid-web_0").spec.Groups; !slices.Equal(got, []string{"77"}) {
				t.Errorf("%s: its groups are %q", c.what, got)
			}
		})
	}
}

func TestVolumeThatAnotherPodHasKeepsItsGroup(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir, file := aFile(t)
		r.claim("it", localPV(dir), nil)
		with := func(group int64) func(*v1.Pod) {
			return func(p *v1.Pod) { grouped(group, nil)(p); mounting(claimSource("it"))(p) }
		}
		r.pod("first", with(77))
		r.pod("second", with(78))
		r.wantState("second", "app", "running 0")
		if got := ownerOf(t, file); got != "0:77 0660" {
			t.Errorf("the file is %s", got)
		}
		r.wantEvent("second", "AlreadyMountedVolume: The requested fsGroup is 78, but the volume pv-it has GID 77. The volume may not be shareable.")
		r.pod("third", with(77))
		if events := strings.Join(r.reasons("third"), " "); strings.Contains(events, "AlreadyMountedVolume") {
			t.Errorf("one of the same group has %s", events)
		}
	})
}

func TestPodThatIsOverHoldsNoVolume(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir, file := aFile(t)
		r.claim("it", localPV(dir), nil)
		r.engine.stopDelay = 10 * time.Second // of its sandbox
		r.pod("over", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			mounting(claimSource("it"))(p)
		})
		r.engine.exit("k8s_app_over_ns_uid-over_0", 0)
		r.settle()
		r.pod("web", func(p *v1.Pod) { grouped(77, nil)(p); mounting(claimSource("it"))(p) })
		if got := ownerOf(t, file); got != "0:77 0660" {
			t.Errorf("the file is %s", got)
		}
	})
}

func TestRestartedAgentLeavesTheFilesOfPodsThatRun(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir, file := aFile(t)
		r.claim("it", localPV(dir), nil)
		r.pod("web", func(p *v1.Pod) { grouped(77, nil)(p); mounting(claimSource("it"))(p) })
		if err := os.Chmod(file, 0o600); err != nil { // as its program may
			t.Fatal(err)
		}
		r.stop()
		r.engine.exit("k8s_app_web_ns_uid-web_0", 1)
		r.start()
		r.wantState("web", "app", "running 1")
		if got := ownerOf(t, file); got != "0:77 0600" {
			t.Errorf("the file is %s", got)
		}
	})
}
