package runtime

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withVolume declares a volume of the Pod that its container mounts at /name.
func withVolume(s *v1.PodSpec, c *v1.Container, name string, source v1.VolumeSource) *v1.VolumeMount {
	s.Volumes = append(s.Volumes, v1.Volume{Name: name, VolumeSource: source})
	c.VolumeMounts = append(c.VolumeMounts, v1.VolumeMount{Name: name, MountPath: "/" + name})
	return &c.VolumeMounts[len(c.VolumeMounts)-1]
}

// configMapSource is a volume of a ConfigMap.
func configMapSource(name string) v1.VolumeSource {
	return v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: name}}}
}

// configMap makes or changes a ConfigMap of one key.
func (r *dockerRig) configMap(name, key, value string) {
	r.t.Helper()
	m := &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{key: value}}
	maps := r.client.CoreV1().ConfigMaps("default")
	_, err := maps.Get(r.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		_, err = maps.Create(r.t.Context(), m, metav1.CreateOptions{})
	} else {
		_, err = maps.Update(r.t.Context(), m, metav1.UpdateOptions{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestVolumesFollowTheirSourcesOnDocker(t *testing.T) {
	r := newDockerRig(t)
	r.configMap("colors", "color", "red")
	group, secretMode := int64(77), int32(0o400)
	r.declare("web", func(p *v1.Pod) {
		p.Labels, p.Annotations = map[string]string{"tier": "front"}, map[string]string{"note": "old"}
		p.Spec.SecurityContext = &v1.PodSecurityContext{FSGroup: &group}
		c := r.container("one", "file=/whole/color=green", "file=/pod/labels=tier=\"back\"", "file=/pod/note=new", "file=/part/color=red", "mode=/whole/color=0644:77", "mode=/tight/color=0440:77")
		withVolume(&p.Spec, &c, "whole", configMapSource("colors"))
		tight := configMapSource("colors")
		tight.ConfigMap.DefaultMode = &secretMode
		withVolume(&p.Spec, &c, "tight", tight)
		field := func(path, of string) v1.DownwardAPIVolumeFile {
			return v1.DownwardAPIVolumeFile{Path: path, FieldRef: &v1.ObjectFieldSelector{FieldPath: of}}
		}
		withVolume(&p.Spec, &c, "pod", v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{Items: []v1.DownwardAPIVolumeFile{
			field("labels", "metadata.labels"), field("note", "metadata.annotations['note']"),
		}}})
		c.VolumeMounts = append(c.VolumeMounts, v1.VolumeMount{Name: "whole", MountPath: "/part/color", SubPath: "color"})
		p.Spec.RestartPolicy, p.Spec.Containers = v1.RestartPolicyNever, []v1.Container{c}
	})
	r.await("web", "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	r.configMap("colors", "color", "green")
	r.update("web", func(p *v1.Pod) { p.Labels["tier"], p.Annotations["note"] = "back", "new" })
	began := time.Now()
	r.finished("web")
	t.Logf("followed after %v", time.Since(began))
}

func TestMissingSourcesHealOnDockerAsSoonAsTheyAppear(t *testing.T) {
	r := newDockerRig(t)
	r.job("web", func(s *v1.PodSpec, c *v1.Container) {
		withVolume(s, c, "first", configMapSource("first"))
		withVolume(s, c, "second", configMapSource("second"))
		c.Env = []v1.EnvVar{{Name: "X", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: v1.LocalObjectReference{Name: "third"}, Key: "k"}}}}
	}, "file=/first/k=1", "file=/second/k=2", "env=X=3")
	r.eventually("web", `FailedMount: MountVolume.SetUp failed for volume "first" : configmap "first" not found`)
	if pod := r.get("web"); pod.Status.Phase != v1.PodPending {
		t.Errorf("phase %s", pod.Status.Phase)
	}
	r.configMap("first", "k", "1")
	r.eventually("web", `FailedMount: MountVolume.SetUp failed for volume "second" : configmap "second" not found`)
	r.configMap("second", "k", "2")
	r.eventually("web", `Failed: Error: configmap "third" not found`)
	r.configMap("third", "k", "3")
	r.finished("web")
}

func TestMountsReachContainersOnDocker(t *testing.T) {
	r := newDockerRig(t)
	dir := sharedMount(t)
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	host := v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: dir}}
	mode := v1.MountPropagationHostToContainer
	r.job("slave", func(s *v1.PodSpec, c *v1.Container) { withVolume(s, c, "v", host).MountPropagation = &mode }, "file=/v/below/x=late")
	r.job("private", func(s *v1.PodSpec, c *v1.Container) { withVolume(s, c, "v", host) }, "file=/v/ready=yes", "mode=/v/below=0755:0")
	for _, name := range []string{"slave", "private"} {
		r.await(name, "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	}
	if err := unix.Mount("tmpfs", below, "tmpfs", 0, "mode=0700,size=1m"); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{filepath.Join(below, "x"): "late", filepath.Join(dir, "ready"): "yes"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.finished("slave")
	r.finished("private")
	t.Run("read-only as deep as it goes, or not at all", func(t *testing.T) {
		deep := v1.RecursiveReadOnlyEnabled
		r.job("deep", func(s *v1.PodSpec, c *v1.Container) {
			m := withVolume(s, c, "v", host)
			m.ReadOnly, m.RecursiveReadOnly = true, &deep
		}, "denied=/v/below/y")
		pod := r.await("deep", "decided", func(p *v1.Pod) bool {
			return pods.IsFinal(p.Status.Phase) || len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil && p.Status.ContainerStatuses[0].State.Waiting.Reason == "CreateContainerError"
		})
		if w := pod.Status.ContainerStatuses[0].State.Waiting; w != nil && !strings.Contains(w.Message, "1.44") || w == nil && pod.Status.Phase != v1.PodSucceeded {
			t.Errorf("status %+v", pod.Status)
		}
	})
}

func TestSubPathsOnDocker(t *testing.T) {
	r := newDockerRig(t)
	dir, user := t.TempDir(), int64(1234)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	host := v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: dir}}
	r.job("web", func(s *v1.PodSpec, c *v1.Container) {
		s.SecurityContext = &v1.PodSecurityContext{RunAsUser: &user}
		withVolume(s, c, "file", host).SubPath = "file"
		withVolume(s, c, "new", host).SubPath = "made/deep"
		withVolume(s, c, "scratch", v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory}}).SubPath = "sub"
	}, "file=/file=text", "write=/new/x=of any user", "write=/scratch/x=y", "exit=0")
	pod := r.finished("web")
	if text, err := os.ReadFile(filepath.Join(dir, "made/deep/x")); err != nil || string(text) != "of any user" {
		t.Errorf("%q, %v", text, err)
	}
	r.unmounted(pod)
	if text, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(text) != "text" {
		t.Errorf("the host's file went with the Pod: %q, %v", text, err)
	}
}

func TestImageVolumeOnDocker(t *testing.T) {
	r := newDockerRig(t)
	r.job("web", func(s *v1.PodSpec, c *v1.Container) {
		withVolume(s, c, "v", v1.VolumeSource{Image: &v1.ImageVolumeSource{Reference: r.image, PullPolicy: v1.PullIfNotPresent}})
	}, "file=/v/actor=ELF", "mode=/v/actor=0755:0", "denied=/v/x")
	pod := r.finished("web")
	for name := range r.containers() {
		if strings.Contains(name, imageVolumeContainer) {
			t.Errorf("%s is left", name)
		}
	}
	r.declare("shown", func(p *v1.Pod) {
		c := r.container("one", "sleep")
		withVolume(&p.Spec, &c, "v", pod.Spec.Volumes[0].VolumeSource)
		p.Spec.Containers = []v1.Container{c}
	})
	shown := r.await("shown", "ready", ready)
	files, err := os.ReadDir(r.agent.dirs.Volume(shown.UID, shown.Spec.Volumes[0]))
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if err != nil || !slices.Equal(names, []string{"actor", "etc", "lib"}) { // and nothing of the engine's
		t.Errorf("the volume has %v, %v", names, err)
	}
	if link, err := os.Readlink(filepath.Join(r.agent.dirs.Volume(shown.UID, shown.Spec.Volumes[0]), "etc/group")); link != "../lib/group" {
		t.Errorf("a link leads to %q, %v", link, err)
	}
	r.markDeleted("web")
	r.await("web", "gone", gone)
	if _, err := os.Stat(r.agent.dirs.Pod(pod.UID)); !os.IsNotExist(err) {
		t.Errorf("its files are left: %v", err)
	}
}
