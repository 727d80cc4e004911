package runtime

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// claim makes a claim that is bound to a directory as our provisioner makes them.
func (r *dockerRig) claim(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = freshDir(t)
	declareClaim(t, r.client, "default", name, localPV(dir), provisioned)
	return dir
}

// Only an owner may change a directory's mode, which is what databases do first.
func TestNewVolumeOnDockerBelongsToItsFirstUserAndKeepsItsFiles(t *testing.T) {
	r := newDockerRig(t)
	for _, c := range []struct {
		name   string
		change func(*v1.PodSpec, *v1.Container)
		owner  string
	}{
		{"number", func(s *v1.PodSpec, _ *v1.Container) {
			s.SecurityContext = &v1.PodSecurityContext{RunAsUser: ptr.To(int64(1234))}
		}, "1234:0"},
		{"known", func(_ *v1.PodSpec, c *v1.Container) {
			c.SecurityContext = &v1.SecurityContext{RunAsUser: ptr.To(int64(4001))}
		}, "4001:4001"},
		{"grouped", func(s *v1.PodSpec, _ *v1.Container) {
			s.SecurityContext = &v1.PodSecurityContext{RunAsUser: ptr.To(int64(1234)), RunAsGroup: ptr.To(int64(5)), FSGroup: ptr.To(int64(77))}
		}, "1234:77"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := r.claim(t, c.name)
			r.job(c.name, func(s *v1.PodSpec, one *v1.Container) {
				withVolume(s, one, "data", claimSource(c.name))
				c.change(s, one)
			}, "chmod=/data=0700", "write=/data/rows=one")
			r.finished(c.name)
			if got := ownerOf(t, dir); got != c.owner+" 0700" {
				t.Errorf("the volume is %s", got)
			}
			r.markDeleted(c.name)
			r.await(c.name, "gone", gone)
			r.job(c.name+"-next", func(s *v1.PodSpec, one *v1.Container) {
				withVolume(s, one, "data", claimSource(c.name))
				c.change(s, one)
			}, "is=/data/rows=one", "write=/data/rows=two")
			r.finished(c.name + "-next")
			if rows, err := os.ReadFile(filepath.Join(dir, "rows")); err != nil || string(rows) != "two" {
				t.Errorf("the volume has %q, %v", rows, err)
			}
		})
	}
}

func TestPersistentVolumesAreMountedLikeOthersOnDocker(t *testing.T) {
	r := newDockerRig(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "part"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "part/old"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.job("early", func(s *v1.PodSpec, c *v1.Container) {
		withVolume(s, c, "data", claimSource("it"))
	}, "is=/data/part/old=text")
	r.eventually("early", `FailedMount: Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process volumes=[data]: error processing PVC default/it: failed to fetch PVC from API server: persistentvolumeclaims "it" not found`)
	declareClaim(t, r.client, "default", "it", localPV(dir), nil)
	r.finished("early")
	r.job("group", func(s *v1.PodSpec, c *v1.Container) {
		s.SecurityContext = &v1.PodSecurityContext{RunAsUser: ptr.To(int64(1234)), RunAsGroup: ptr.To(int64(1234)), FSGroup: ptr.To(int64(77))}
		withVolume(s, c, "data", claimSource("it")).SubPath = "part"
		c.VolumeMounts = append(c.VolumeMounts,
			v1.VolumeMount{Name: "data", MountPath: "/new", SubPathExpr: "of-$(NAME)"}, v1.VolumeMount{Name: "data", MountPath: "/look", ReadOnly: true})
		c.Env = []v1.EnvVar{{Name: "NAME", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
	}, "is=/data/old=text", "write=/data/old=more", "write=/data/new=x", "mode=/data/new=0644:77", "write=/new/y=z", "is=/look/of-group/y=z", "denied=/look/no")
	r.finished("group")
	r.job("reader", func(s *v1.PodSpec, c *v1.Container) {
		source := claimSource("it")
		source.PersistentVolumeClaim.ReadOnly = true
		withVolume(s, c, "data", source)
	}, "is=/data/part/old=more", "denied=/data/no")
	pod := r.finished("reader")
	for _, name := range []string{"early", "group", "reader"} {
		r.markDeleted(name)
		r.await(name, "gone", gone)
	}
	r.unmounted(pod)
	for path, want := range map[string]string{"part/old": "more", "part/new": "x", "of-group/y": "z"} {
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", path, got, err)
		}
	}
}

// A part of the volume is mounted in the Pod's directory when the daemon ends, and still when the next one removes it.
func TestRemovalOfAPodNeverReachesItsVolumeOnDocker(t *testing.T) {
	r := newDockerRig(t)
	dir := r.claim(t, "it")
	if err := os.MkdirAll(filepath.Join(dir, "part/deep"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "part/deep/file"), []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.declare("web", func(p *v1.Pod) {
		c := r.container("one", "is=/data/deep/file=kept", "sleep")
		withVolume(&p.Spec, &c, "data", claimSource("it")).SubPath = "part"
		p.Spec.Containers = []v1.Container{c}
	})
	pod := r.await("web", "ready", ready)
	r.stop()
	if err := r.client.CoreV1().Pods("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.noContainers()
	r.unmounted(pod)
	if got, err := os.ReadFile(filepath.Join(dir, "part/deep/file")); err != nil || string(got) != "kept" {
		t.Errorf("the volume has %q, %v", got, err)
	}
}
