package runtime

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/files"
	"github.com/kube-lite/kube-lite/runtime/volume"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

// sharedMount is a directory that passes on what is mounted below it, whatever the host's root
// does, until the test ends. It skips the test where nothing can be mounted.
func sharedMount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mounts cannot be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := volume.UnmountBelow(dir); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSubPathOfAVolumeIsMadeForAllItsUsers(t *testing.T) {
	sharedMount(t) // mounts can be made here
	inBubble(t, func(t *testing.T, r *rig) {
		group := int64(77)
		r.pod("web", func(p *v1.Pod) {
			p.Spec.SecurityContext = &v1.PodSecurityContext{FSGroup: &group}
			p.Spec.Volumes = []v1.Volume{scratch("v", "")}
			p.Spec.Containers = []v1.Container{app("one"), app("two")} // both want it first
			for n := range p.Spec.Containers {
				p.Spec.Containers[n].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v", SubPath: "a/b"}}
			}
		})
		made := filepath.Join(r.agent.dirs.Volume("uid-web", scratch("v", "")), "a/b")
		if err := os.WriteFile(filepath.Join(made, "file"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"one", "two"} {
			r.wantState("web", name, "running 0")
			source := r.engine.get("k8s_" + name + "_web_ns_uid-web_0").spec.Mounts[0].Source
			info, err := os.Stat(source)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != os.ModeDir|os.ModeSetgid|0o777 {
				t.Errorf("%s: mode %v", name, info.Mode())
			}
			if _, err := os.Stat(filepath.Join(source, "file")); err != nil {
				t.Errorf("%s has something else at %s: %v", name, source, err)
			}
		}
		r.engine.exit("k8s_one_web_ns_uid-web_0", 1)
		r.settle()
		r.wantState("web", "one", "running 1")
		if mounted, err := volume.MountedBelow(filepath.Join(r.agent.dirs.Pod("uid-web"), files.SubPathsDir)); err != nil || len(mounted) != 2 {
			t.Errorf("after a restart %v are mounted, %v", mounted, err)
		}
		r.delete("web", 30)
		r.settle()
		if _, err := os.Stat(r.agent.dirs.Pod("uid-web")); !os.IsNotExist(err) {
			t.Errorf("its directory is left: %v", err)
		}
	})
}

func TestSubPathThatLeadsOutKeepsItsContainerWaiting(t *testing.T) {
	outside, volume := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(volume, "out")); err != nil {
		t.Fatal(err)
	}
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: volume}}}}
			p.Spec.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v", SubPath: "out/new"}}
		})
		r.wantState("web", "app", "waiting CreateContainerConfigError 0")
		r.wantEvent("web", `Failed: Error: failed to create subPath directory for volumeMount "v" of container "app": "out/new" leads out of the volume`)
		if made, _ := os.ReadDir(outside); len(made) > 0 {
			t.Errorf("made outside: %v", made)
		}
	})
}
