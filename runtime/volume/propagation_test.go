package volume

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
)

// stranger is a process in a mount namespace of its own.
func stranger(t *testing.T, propagation string) (pid int) {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--propagation", propagation, "sh", "-c", "echo ready; read line")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestWhoSeesTheMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone can mount")
	}
	dir := t.TempDir()
	shared := t.TempDir()
	for _, c := range []struct {
		what string
		dir  string
		pid  int
		want bool
	}{
		{"this process", dir, os.Getpid(), true},
		{"one whose mounts are private", dir, stranger(t, "private"), false},
	} {
		if got, err := Reaches(c.pid, c.dir); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.what, got, err, c.want)
		}
		left, err := os.ReadDir(c.dir)
		if err != nil || len(left) > 0 {
			t.Errorf("%s: left behind %v, %v", c.what, left, err)
		}
	}
	// This machine's own mounts may be private. On a mount that is shared a slave sees what we do.
	share(t, shared)
	if got, err := Reaches(stranger(t, "slave"), shared); err != nil || !got {
		t.Errorf("one whose mounts follow ours: %v, %v", got, err)
	}
	if _, err := Reaches(1<<30, dir); err == nil {
		t.Error("a process that is not there: no error")
	}
}

// share makes a directory a mount of its own that propagates.
func share(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{{"--bind", dir, dir}, {"--make-shared", dir}} {
		if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
			t.Fatalf("mount %v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() { exec.Command("umount", "--lazy", dir).Run() })
}
