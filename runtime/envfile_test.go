package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

func TestFilesOfVariablesAreReadAsAShellReadsThem(t *testing.T) {
	text := "# made by init\n\n  A='1'\nB='two\nlines' # both\nC= 'x'\nD='it is = # here'\n"
	for key, want := range map[string]string{"A": "1", "B": "two\nlines", "C": "", "D": "it is = # here", "E": ""} {
		if got, err := parseEnvFile(text, key); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", key, got, err, want)
		}
	}
	for _, bad := range []string{"A", "A =''", "A=1", "A='1", "A='1' 2", "='1'"} {
		if got, err := parseEnvFile(bad, "Z"); err == nil {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
}

func TestVariableComesFromAFileOfAVolume(t *testing.T) {
	yes := true
	inBubble(t, func(t *testing.T, r *rig) {
		declare := func(name, path, key string, optional *bool) {
			r.pod(name, func(p *v1.Pod) {
				p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
				p.Spec.Containers[0].Env = []v1.EnvVar{{Name: "X", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{VolumeName: "v", Path: path, Key: key, Optional: optional}}}}
			})
		}
		declare("web", "env", "KEY", nil)
		r.wantState("web", "app", "waiting CreateContainerConfigError 0")
		r.wantEvent("web", "Failed: Error: couldn't parse env file")
		dir := r.agent.dirs.Volume("uid-web", r.get("web").Spec.Volumes[0])
		if err := os.WriteFile(filepath.Join(dir, "env"), []byte("KEY='from a file'\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r.after(configRetry)
		r.wantState("web", "app", "running 0")
		if env := r.engine.get("k8s_app_web_ns_uid-web_0").spec.Env; len(env) == 0 || env[len(env)-1] != "X=from a file" {
			t.Errorf("variables %q", env)
		}
		if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out")); err != nil {
			t.Fatal(err)
		}
		if value, _, err := r.agent.envFile(r.get("web"), &v1.FileKeySelector{VolumeName: "v", Path: "out", Key: "K", Optional: &yes}); err == nil {
			t.Errorf("a link led out of the volume to %q", value)
		}
	})
}

// A container may leave anything in its volume: a pipe would have the Pod's worker wait
// for good, and with it the Pod's deletion and the end of the agent.
func TestFileOfVariablesMustBeAFile(t *testing.T) {
	a := &Agent{dirs: pods.Dirs{Root: t.TempDir()}}
	pod := testPod()
	pod.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
	dir := a.dirs.Volume(pod.UID, pod.Spec.Volumes[0])
	if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644), os.Mkdir(filepath.Join(dir, "dir"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"pipe", "dir"} {
		answer := make(chan error, 1)
		go func() {
			_, _, err := a.envFile(pod, &v1.FileKeySelector{VolumeName: "v", Path: path, Key: "K"})
			answer <- err
		}()
		select {
		case err := <-answer:
			if err == nil || !strings.Contains(err.Error(), path+" is not a regular file") {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the reader waits for somebody who writes", path)
			if end, err := os.OpenFile(filepath.Join(dir, path), os.O_WRONLY, 0); err == nil { // let it go
				end.Close()
			}
		}
	}
}
