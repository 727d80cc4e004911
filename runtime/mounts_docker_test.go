package runtime

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// hostPath is a volume of a path of the host.
func hostPath(path string, kind v1.HostPathType) v1.VolumeSource {
	return v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: path, Type: &kind}}
}

func TestHostPathsOfEachTypeOnDocker(t *testing.T) {
	r := newDockerRig(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	for _, c := range []struct {
		name string
		path string
		kind v1.HostPathType
		acts []string
	}{
		{"unset", at("unset"), v1.HostPathUnset, []string{"write=/v/x=y"}},
		{"directory", dir, v1.HostPathDirectory, []string{"file=/v/file=text"}},
		{"directory-or-create", at("a/b"), v1.HostPathDirectoryOrCreate, []string{"write=/v/x=y", "mode=/v=0755:0"}},
		{"file", at("file"), v1.HostPathFile, []string{"file=/v=text"}},
		{"file-or-create", at("made"), v1.HostPathFileOrCreate, []string{"write=/v=y", "mode=/v=0644:0"}},
		{"socket", at("socket"), v1.HostPathSocket, []string{"unix=/v"}},
		{"char-device", "/dev/zero", v1.HostPathCharDev, []string{"write=/v=y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.job(c.name, func(s *v1.PodSpec, one *v1.Container) { withVolume(s, one, "v", hostPath(c.path, c.kind)) }, c.acts...)
			r.finished(c.name)
		})
	}
	for path, want := range map[string]string{"unset/x": "y", "a/b/x": "y", "made": "y"} {
		if got, err := os.ReadFile(at(path)); err != nil || string(got) != want {
			t.Errorf("the host's %s has %q, %v", path, got, err)
		}
	}
	t.Run("one of another type keeps the Pod waiting until it is right", func(t *testing.T) {
		late := at("late")
		r.job("waits", func(s *v1.PodSpec, c *v1.Container) { withVolume(s, c, "v", hostPath(late, v1.HostPathDirectory)) }, "write=/v/x=y")
		r.eventually("waits", `FailedMount: MountVolume.SetUp failed for volume "v" : hostPath type check failed: `+late+" is not a directory")
		if err := os.Mkdir(late, 0o755); err != nil {
			t.Fatal(err)
		}
		r.finished("waits")
	})
}

// What a container mounts below a Bidirectional volume, the host has too, and through it a container that mounts the
// volume HostToContainer. The API lets only a privileged one declare it; all that it needs of that is the capability.
func TestBidirectionalMountsReachTheHostAndOthersOnDocker(t *testing.T) {
	r := newDockerRig(t)
	dir := sharedMount(t)
	both, down := v1.MountPropagationBidirectional, v1.MountPropagationHostToContainer
	r.declare("reader", func(p *v1.Pod) {
		p.Spec.RestartPolicy = v1.RestartPolicyNever
		follows, alone := r.container("follows", "file=/v/inner/x=seen"), r.container("alone", "file=/v/done=yes", "absent=/v/inner/x")
		withVolume(&p.Spec, &follows, "v", hostPath(dir, v1.HostPathDirectory)).MountPropagation = &down
		alone.VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
		p.Spec.Containers = []v1.Container{follows, alone}
	})
	r.await("reader", "running", func(p *v1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 2 && s[0].State.Running != nil && s[1].State.Running != nil
	})
	r.job("writer", func(s *v1.PodSpec, c *v1.Container) {
		withVolume(s, c, "v", hostPath(dir, v1.HostPathDirectory)).MountPropagation = &both
		c.SecurityContext = &v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"SYS_ADMIN"}}}
	}, "mkdir=/v/inner", "mount=/v/inner", "write=/v/inner/x=seen", "write=/v/done=yes")
	r.finished("writer")
	if got, err := os.ReadFile(filepath.Join(dir, "inner/x")); err != nil || string(got) != "seen" {
		t.Errorf("the host has %q, %v", got, err)
	}
	// Who mounts it privately sees the directory below the mount, which is empty.
	r.finished("reader")
}

// In an image nothing is made: a subPath must be there.
func TestSubPathOfAnImageVolumeMustExistOnDocker(t *testing.T) {
	r := newDockerRig(t)
	image := v1.VolumeSource{Image: &v1.ImageVolumeSource{Reference: r.image, PullPolicy: v1.PullIfNotPresent}}
	r.job("there", func(s *v1.PodSpec, c *v1.Container) { withVolume(s, c, "v", image).SubPath = "actor" }, "file=/v=ELF")
	r.finished("there")
	r.job("missing", func(s *v1.PodSpec, c *v1.Container) { withVolume(s, c, "v", image).SubPath = "no/where" }, "mode=/v=0755:0")
	pod := r.await("missing", "refused", func(p *v1.Pod) bool {
		return pods.IsFinal(p.Status.Phase) || len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil && p.Status.ContainerStatuses[0].State.Waiting.Reason == "CreateContainerError"
	})
	if w := pod.Status.ContainerStatuses[0].State.Waiting; w == nil || !strings.HasPrefix(w.Message, "ImageVolumeMountFailed: ") || !strings.Contains(w.Message, `"no/where"`) {
		t.Errorf("its status is %+v", pod.Status.ContainerStatuses[0].State)
	}
	r.eventually("missing", "Failed: Error: ImageVolumeMountFailed: ")
	if _, err := os.Stat(filepath.Join(r.agent.dirs.Volume(pod.UID, pod.Spec.Volumes[0]), "no")); !os.IsNotExist(err) {
		t.Errorf("the subPath was made in the image's files: %v", err)
	}
}

// Parts of volumes: items with modes of their own under paths of their own, and paths that variables name.
func TestPartsOfVolumesOnDocker(t *testing.T) {
	r := newDockerRig(t)
	r.configMap("colors", "color", "red")
	tight := int32(0o400)
	r.job("web", func(s *v1.PodSpec, c *v1.Container) {
		picked := configMapSource("colors")
		picked.ConfigMap.Items = []v1.KeyToPath{{Key: "color", Path: "deep/er/red", Mode: &tight}}
		withVolume(s, c, "picked", picked)
		kept := withVolume(s, c, "kept", v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}})
		kept.SubPathExpr = "$(NAME)/of/$(PLAIN)"
		c.VolumeMounts = append(c.VolumeMounts, v1.VolumeMount{Name: "kept", MountPath: "/all"}, v1.VolumeMount{Name: "picked", MountPath: "/one", SubPath: "deep/er/red"})
		c.Env = []v1.EnvVar{
			{Name: "NAME", ValueFrom: &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}}}, {Name: "PLAIN", Value: "a"},
		}
	}, "is=/picked/deep/er/red=red", "mode=/picked/deep/er/red=0400:0", "absent=/picked/color", "is=/one=red", "denied=/picked/deep/er/red",
		"write=/kept/x=y", "is=/all/web/of/a/x=y")
	r.finished("web")
	r.job("unset", func(s *v1.PodSpec, c *v1.Container) {
		withVolume(s, c, "kept", v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}).SubPathExpr = "$(NOWHERE)"
	})
	r.await("unset", "refused", func(p *v1.Pod) bool {
		s := p.Status.ContainerStatuses
		return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CreateContainerConfigError"
	})
}

// What a container that fails said last is its message, from its file or from its log.
func TestLastWordsOnDocker(t *testing.T) {
	r := newDockerRig(t)
	for name, c := range map[string]struct {
		change func(*v1.Container)
		want   string
	}{
		"file": {func(c *v1.Container) {
			c.TerminationMessagePath, c.Args = "/tmp/words", []string{"write=/tmp/words=in a file", "no-such-act"}
		}, "in a file"},
		"log": {func(c *v1.Container) {
			c.TerminationMessagePath, c.TerminationMessagePolicy, c.Args = "/dev/termination-log", v1.TerminationMessageFallbackToLogsOnError, []string{"no-such-act"}
		}, "no-such-act: unknown act\n"},
	} {
		r.job(name, func(_ *v1.PodSpec, container *v1.Container) { c.change(container) })
		pod := r.await(name, "failed", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodFailed })
		if got := pod.Status.ContainerStatuses[0].State.Terminated; got.Message != c.want || got.ExitCode != 1 {
			t.Errorf("%s: %q, want %q", name, got.Message, c.want)
		}
	}
}
