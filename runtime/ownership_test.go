package runtime

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/files"
	v1 "k8s.io/api/core/v1"
	volumehelpers "k8s.io/component-helpers/storage/volume"
)

// provisioned is a claim whose volume our provisioner made.
func provisioned(_ *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) {
	pv.Annotations = map[string]string{volumehelpers.AnnDynamicallyProvisioned: files.DirectoryProvisioner}
}

// freshDir is a directory as our provisioner makes it.
func freshDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// as is a container that runs as a user, or as its image's, and mounts the volume "data".
func as(name string, uid int64) v1.Container {
	c := app(name)
	if uid >= 0 {
		c.SecurityContext = &v1.SecurityContext{RunAsUser: &uid}
	}
	c.VolumeMounts = []v1.VolumeMount{{Name: "data", MountPath: "/data"}}
	return c
}

const imagesUser = -1

func TestFreshVolumeIsGivenToTheUserOfItsFirstContainer(t *testing.T) {
	part := as("part", 5)
	part.VolumeMounts[0].SubPath = "part"
	reader := as("reader", 5)
	reader.VolumeMounts[0].ReadOnly = true
	seven, nine := int64(7), int64(9)
	none := app("none")
	for _, c := range []struct {
		what       string
		image      string // its user
		pod        v1.PodSecurityContext
		init       []v1.Container
		containers []v1.Container
		others     bool // made by somebody else
		want       string
	}{
		{what: "a number", containers: []v1.Container{as("app", 1000)}, want: "1000:0 0777"},
		{what: "a number that the image knows", containers: []v1.Container{as("app", 7)}, want: "7:77 0777"},
		{what: "the image's, by name", image: "app", containers: []v1.Container{as("app", imagesUser)}, want: "7:77 0777"},
		{what: "the image's, with a group", image: "app:more", containers: []v1.Container{as("app", imagesUser)}, want: "7:70 0777"},
		{what: "the image's, by numbers", image: "5:6", containers: []v1.Container{as("app", imagesUser)}, want: "5:6 0777"},
		{what: "the Pod's", pod: v1.PodSecurityContext{RunAsUser: &seven, RunAsGroup: &nine}, containers: []v1.Container{as("app", imagesUser)}, want: "7:9 0777"},
		{what: "the Pod's, with a group that owns volumes", pod: v1.PodSecurityContext{RunAsUser: &seven, FSGroup: &nine}, containers: []v1.Container{as("app", imagesUser)}, want: "7:9 2777"},
		{what: "root", containers: []v1.Container{as("app", 0)}, want: "0:0 0777"},
		{what: "the image's, which is root", image: "root:app", containers: []v1.Container{as("app", imagesUser)}, want: "0:0 0777"},
		{what: "one after root", containers: []v1.Container{as("app", 0), as("two", 5)}, want: "5:0 0777"},
		{what: "two users", containers: []v1.Container{as("app", 8), as("two", 5)}, want: "8:0 0777"},
		{what: "one after those that mount nothing, or nothing to write", containers: []v1.Container{none, reader, as("app", 6)}, want: "6:0 0777"},
		{what: "nobody", containers: []v1.Container{none, part, reader}, want: "0:0 0777"},
		{what: "an init container", init: []v1.Container{as("init", 5)}, containers: []v1.Container{as("app", 8)}, want: "5:0 0777"},
		{what: "another init container than the first", init: []v1.Container{as("one", 0), as("two", 5)}, containers: []v1.Container{as("app", 8)}, want: "5:0 0777"},
		{what: "nobody, since it is another's", others: true, containers: []v1.Container{as("app", 1000)}, want: "0:0 0777"},
	} {
		t.Run(c.what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.engine.mu.Lock()
				r.engine.images["app:1"] = docker.Image{ID: "sha256:app:1", User: c.image}
				r.engine.texts = map[string]string{"/etc/passwd": "root:x:0:0::/:\napp:x:7:77::/:\n", "/etc/group": "app:x:77:\nmore:x:70:\n"}
				r.engine.mu.Unlock()
				dir := freshDir(t)
				r.claim("it", localPV(dir), func(claim *v1.PersistentVolumeClaim, pv *v1.PersistentVolume) {
					if provisioned(claim, pv); c.others {
						pv.Annotations[volumehelpers.AnnDynamicallyProvisioned] = "example.com/other"
					}
				})
				r.pod("web", func(p *v1.Pod) {
					p.Spec.SecurityContext, p.Spec.InitContainers, p.Spec.Containers = &c.pod, c.init, c.containers
					p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: claimSource("it")}}
				})
				for _, init := range c.init {
					r.engine.exit("k8s_"+init.Name+"_web_ns_uid-web_0", 0)
					r.settle()
				}
				for _, one := range c.containers {
					r.wantState("web", one.Name, "running 0")
				}
				if got := ownerOf(t, dir); got != c.want {
					t.Errorf("the volume is %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestVolumeThatWasUsedKeepsItsOwner(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		dir := freshDir(t)
		fill(t, filepath.Join(dir, "x"), 1)
		r.claim("it", localPV(dir), provisioned)
		r.pod("web", func(p *v1.Pod) {
			p.Spec.Containers = []v1.Container{as("app", 1000)}
			p.Spec.Volumes = []v1.Volume{{Name: "data", VolumeSource: claimSource("it")}}
		})
		r.wantState("web", "app", "running 0")
		if got := ownerOf(t, dir); got != "0:0 0777" {
			t.Errorf("the volume is %s", got)
		}
	})
}
