package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestScenario9WhatIsMissingIsSaidInOneLine(t *testing.T) {
	for name, test := range map[string]struct {
		// arrange takes something away and returns the flags of start.
		arrange func(t *testing.T, i *instance, cmd *exec.Cmd) []string
		want    []string
	}{
		"not root":         {asNobody, []string{"root", "sudo"}},
		"no Docker":        {withoutDocker, []string{"Docker", "docker.sock"}},
		"an old engine":    {withOldEngine, []string{"1.40", "1.41", "20.10"}},
		"an ancient one":   {withAncientEngine, []string{"too old", "20.10"}},
		"no iptables":      {withoutIptables, []string{"iptables", "install"}},
		"private mounts":   {withPrivateMounts, []string{"does not see what kube-lite mounts", "unshare", "PrivateTmp", "nsenter"}},
		"a taken port":     {withTakenPort, []string{"is taken", "--api-port"}},
		"a taken data dir": {withTakenDataDir, []string{"in use", "--data-dir", "pid"}},
	} {
		for _, command := range []string{"start", "serve"} {
			t.Run(name+", "+command, func(t *testing.T) {
				i := unstartedInstance(t)
				ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
				defer cancel()
				cmd := i.command(ctx)
				flags := test.arrange(t, i, cmd)
				cmd.Args = append(append(cmd.Args, command), append(flags, i.flags...)...)
				i.checkRefusal(t, cmd, test.want)
			})
		}
	}
}

// unstartedInstance is one of which nothing may be left although nobody removes it.
func unstartedInstance(t *testing.T) *instance {
	t.Helper()
	i, err := newInstance()
	if err != nil {
		t.Fatal(err)
	}
	i.binary = cluster.binary
	i.flags = slices.DeleteFunc(i.flags, func(flag string) bool { return strings.HasPrefix(flag, "--audit-") }) // nothing is to record
	t.Cleanup(func() {
		left, err := i.leftovers()
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
			i.began = true
		}
		if err := i.remove(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// checkRefusal runs a command that has to say one line on stderr with the words in want. The log, which serve writes
// there too, does not count.
func (i *instance) checkRefusal(t *testing.T, cmd *exec.Cmd, want []string) {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code is %d (%v), want 1", cmd.ProcessState.ExitCode(), err)
	}
	var lines []string
	for line := range strings.Lines(stderr.String()) {
		if !strings.Contains(line, " level=INFO ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	if len(lines) != 1 {
		t.Errorf("stderr has %d lines, want 1: %q", len(lines), lines)
	}
	for _, part := range want {
		if !strings.Contains(strings.Join(lines, " "), part) {
			t.Errorf("stderr has no %q: %q", part, lines)
		}
	}
}

func asNobody(t *testing.T, i *instance, cmd *exec.Cmd) []string {
	const nobody = 65534
	// A copy, since others may not read where the binary is.
	dir, err := os.MkdirTemp("", "kube-lite-e2e-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "kube-lite")
	if err := os.Link(i.binary, binary); err != nil {
		if out, err := exec.Command("cp", i.binary, binary).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, path := range []string{dir, i.scratch} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Path, cmd.Args[0], cmd.Dir = binary, binary, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return nil
}

func withoutDocker(t *testing.T, i *instance, _ *exec.Cmd) []string {
	return []string{"--docker-host=unix://" + filepath.Join(i.scratch, "docker.sock")}
}

func withOldEngine(t *testing.T, i *instance, _ *exec.Cmd) []string {
	return []string{"--docker-host=" + fakeEngine(t, i, "19.03.15", "1.40")}
}

func withAncientEngine(t *testing.T, i *instance, _ *exec.Cmd) []string {
	return []string{"--docker-host=" + fakeEngine(t, i, "1.12.6", "1.24")}
}

// fakeEngine answers what a Docker of that version says of itself, and refuses everything else.
func fakeEngine(t *testing.T, i *instance, version, api string) (host string) {
	t.Helper()
	socket := filepath.Join(i.scratch, "old.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", api)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			fmt.Fprint(w, "OK")
		case strings.HasSuffix(r.URL.Path, "/version"):
			fmt.Fprintf(w, `{"Version":%q,"ApiVersion":%q,"Os":"linux","Arch":"amd64"}`, version, api)
		default:
			w.WriteHeader(http.StatusNotImplemented)
			fmt.Fprintf(w, `{"message":"%s %s is not for an old engine"}`, r.Method, r.URL.Path)
		}
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return "unix://" + socket
}

// withPrivateMounts has mounts that go nowhere, as below unshare -m and in some systemd units.
func withPrivateMounts(t *testing.T, _ *instance, cmd *exec.Cmd) []string {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = []string{unshare, "--mount", "--propagation=private", cmd.Path}
	cmd.Path = unshare
	return nil
}

// withoutIptables hides the program where kube-lite looks for it beside PATH: in a mount namespace that goes with the
// process.
func withoutIptables(t *testing.T, _ *instance, cmd *exec.Cmd) []string {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Fatal(err)
	}
	const hide = `for dir in /usr/local/sbin /usr/sbin /sbin; do [ ! -d $dir ] || mount --bind "$0" $dir || exit 99; done; PATH=$0 exec "$@"`
	cmd.Args = []string{unshare, "--mount", "--propagation=private", "/bin/sh", "-c", hide, t.TempDir(), cmd.Path}
	cmd.Path = unshare
	return nil
}

func withTakenPort(t *testing.T, i *instance, _ *exec.Cmd) []string {
	listener, err := net.Listen("tcp4", "127.0.0.1:"+i.flag("api-port"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return nil
}

// withTakenDataDir points the instance at the data directory of the one that the tests share.
func withTakenDataDir(t *testing.T, i *instance, cmd *exec.Cmd) []string {
	cmd.Env = append(cmd.Env, "KUBE_LITE_DATA_DIR="+cluster.dataDir())
	return nil
}
