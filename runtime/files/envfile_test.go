package files

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

// A container may leave anything in its volume: a pipe would have the Pod's worker wait
// for good, and with it the Pod's deletion and the end of the agent.
func TestFileOfVariablesMustBeAFile(t *testing.T) {
	f := New(Config{Dirs: pods.Dirs{Root: t.TempDir()}})
	pod := testPod()
	pod.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
	dir := f.config.Dirs.Volume(pod.UID, pod.Spec.Volumes[0])
	if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644), os.Mkdir(filepath.Join(dir, "dir"), 0o755), os.Symlink("/etc/hostname", filepath.Join(dir, "out"))); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"pipe", "dir"} {
		answer := make(chan error, 1)
		go func() {
			_, _, err := f.envFile(pod, &v1.FileKeySelector{VolumeName: "v", Path: path, Key: "K"})
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
	yes := true
	if value, _, err := f.envFile(pod, &v1.FileKeySelector{VolumeName: "v", Path: "out", Key: "K", Optional: &yes}); err == nil {
		t.Errorf("a link led out of the volume to %q", value)
	}
}
