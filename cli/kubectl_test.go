package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the program itself, as kube-lite.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kube-lite": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, os.Args))
	}})
}

// The scripts in testdata/script run kube-lite as a user would, on a machine
// where no instance runs.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("KUBE_LITE_DATA_DIR", filepath.Join(e.WorkDir, "data"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "docker":
				return exec.Command("docker", "version").Run() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	})
}

// quiet is an environment for commands whose output does not matter.
func quiet(t *testing.T) *env {
	return &env{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
}

// The table of verbs says what kubectl says, in kubectl's order.
func TestVerbsAreKubectls(t *testing.T) {
	e := quiet(t)
	root := e.newKubectl([]string{programName}, nil)
	root.SetOut(e.stdout)
	if err := root.Help(); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, line := range strings.Split(e.stdout.(*bytes.Buffer).String(), "\n") {
		switch fields := strings.Fields(line); {
		case strings.HasSuffix(line, " Commands:") || strings.Contains(line, " Commands ("):
			want = append(want, strings.TrimSuffix(line, ":"))
		case len(fields) > 1 && strings.HasPrefix(line, "  ") && fields[0] != "completion" && !strings.Contains(line, "[flags]"):
			want = append(want, fields[0]+": "+strings.Join(fields[1:], " "))
		}
	}
	var got []string
	for _, group := range verbGroups() {
		got = append(got, group.title)
		for _, v := range group.verbs {
			if v.name != "options" { // kubectl's help hides it
				got = append(got, v.name+": "+v.usage)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("verbs:\n%s\n\nkubectl's:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A signal ends a watch at once, as it does kubectl: nothing waits for a grace.
func TestInterruptEndsAWatch(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("first\n"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := exec.Command("kube-lite", "--data-dir", t.TempDir(), "get", "--server", server.URL, "--raw", "/watch")
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "first\n" {
			t.Fatalf("read %q, %v", line, err)
		}
		_ = cmd.Process.Signal(sig)
		_ = cmd.Wait()
		hung.Stop()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != sig {
			t.Errorf("after %v: %v", sig, cmd.ProcessState)
		}
	}
}

// Requests to the instance's own API follow each other without pause; those to another
// cluster keep kubectl's limit, 10 at once and then 5 a second.
func TestOnlyTheInstanceIsAskedWithoutLimit(t *testing.T) {
	const names = 20
	var mu sync.Mutex     // guards asked: the server's goroutines write it
	var asked []time.Time // when a Secret was
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api":
			_, _ = w.Write([]byte(`{"kind":"APIVersions","versions":["v1"]}`))
		case "/apis":
			_, _ = w.Write([]byte(`{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`))
		case "/api/v1":
			_, _ = w.Write([]byte(`{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"secrets","singularName":"secret","namespaced":true,"kind":"Secret","verbs":["get"]}]}`))
		default:
			mu.Lock()
			asked = append(asked, time.Now())
			mu.Unlock()
			w.WriteHeader(http.StatusNotFound)
		}
	})
	dir := playInstance(t, api)
	run := func(flags ...string) time.Duration { // from the first Secret to the last
		args := append([]string{"--data-dir=" + dir, "get", "secrets", "--ignore-not-found"}, flags...)
		for i := range names {
			args = append(args, fmt.Sprint("s", i))
		}
		cmd := exec.Command("kube-lite", args...)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		mu.Lock()
		asked = nil
		mu.Unlock()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", cmd, err, out)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(asked) != names {
			t.Fatalf("%s asked for %d Secrets, want %d", cmd, len(asked), names)
		}
		return asked[names-1].Sub(asked[0])
	}
	other, own := run("--kubeconfig="+filepath.Join(dir, "kubeconfig")), run()
	const paused = (names - 10) * time.Second / 5 // the limit is 10 at once and then 5 a second
	if other < paused/2 || own >= other/2 {
		t.Errorf("%d requests to the instance took %v, to another cluster %v: want a limit for that one only", names, own, other)
	}
}
