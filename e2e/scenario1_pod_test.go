package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const greeting = "Hello Docker!!"

func TestScenario1PodOfTwoContainers(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "scenario1")
	if got, want := ns.must(t, "apply", "-f", "testdata/simple-pod.yaml"), "pod/simple-echo created\n"; got != want {
		t.Errorf("apply says %q, want %q", got, want)
	}
	ns.waitForPods(t, 1, "simple-echo")

	t.Run("get pod shows both containers", func(t *testing.T) {
		got := ns.pods(t)[0][:4]
		if want := []string{"simple-echo", "2/2", "Running", "0"}; !slices.Equal(got, want) {
			t.Errorf("get pod shows %v, want %v", got, want)
		}
	})
	t.Run("nginx reaches echo over localhost", func(t *testing.T) {
		waitForAnswer(t, "http://"+ns.value(t, "pod/simple-echo", "{.status.podIP}"), greeting)
		if logs := ns.must(t, "logs", "simple-echo", "-c", "echo"); !strings.Contains(logs, "start server") || !strings.Contains(logs, "received request") {
			t.Errorf("echo logged %q", logs)
		}
	})
	t.Run("both see the same emptyDir", func(t *testing.T) {
		ns.must(t, "exec", "simple-echo", "-c", "nginx", "--", "sh", "-c", "echo from nginx >/shared/note")
		if got := ns.must(t, "exec", "simple-echo", "-c", "echo", "--", "cat", "/shared/note"); got != "from nginx\n" {
			t.Errorf("echo reads %q", got)
		}
	})
	t.Run("exec gives a shell on a terminal", ns.testShell)
	t.Run("exec passes the exit code on", func(t *testing.T) {
		if got := ns.run(t, "exec", "simple-echo", "-c", "nginx", "--", "sh", "-c", "exit 7"); got.code != 7 {
			t.Errorf("exit code is %d, want 7: %s", got.code, got.stderr)
		}
	})
	t.Run("logs -f follows until the pod goes", ns.testFollowAndDelete)
	t.Run("delete -f", func(t *testing.T) {
		ns.must(t, "apply", "-f", "testdata/simple-pod.yaml")
		ns.waitForPods(t, 1, "simple-echo")
		ns.must(t, "delete", "-f", "testdata/simple-pod.yaml")
		ns.waitUntilGone(t)
	})
}

func (n namespace) testShell(t *testing.T) {
	term := n.onTerminal(t, "exec", "-it", "simple-echo", "-c", "nginx", "--", "sh")
	// What is typed is echoed; only what the shell made of it counts.
	term.enter(t, "echo the hostname is $(hostname) and $((40+2))")
	term.waitFor(t, "the hostname is simple-echo and 42")
	term.enter(t, "[ -t 0 ] && [ -t 1 ] && echo both are termin''als")
	term.waitFor(t, "both are terminals")
	term.enter(t, "exit 3")
	if code := term.exitCode(t); code != 3 {
		t.Errorf("exit code is %d, want 3: %s", code, term.shown())
	}
}

func (n namespace) testFollowAndDelete(t *testing.T) {
	logs := n.follow(t, "logs", "-f", "simple-echo", "-c", "echo", "--tail=0")
	// Only a request that is made while the stream is open shows that it follows; when it is open, nobody can tell.
	url := "http://" + n.value(t, "pod/simple-echo", "{.status.podIP}")
	eventually(t, func() error {
		if _, _, err := get(url); err != nil {
			return err
		}
		select {
		case line := <-logs.lines:
			if strings.Contains(line, "received request") {
				return nil
			}
			return fmt.Errorf("the stream has %q", line)
		default:
			return fmt.Errorf("the stream is silent")
		}
	})
	if got := n.must(t, "delete", "pod", "simple-echo"); !strings.HasPrefix(got, `pod "simple-echo" deleted`) {
		t.Errorf("delete says %q", got)
	}
	logs.waitUntilEnded(t)
	n.waitUntilGone(t)
}

func TestExecFollowsTheTerminalsSize(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "terminal")
	ns.must(t, "run", "tool", "--image=kube-lite-test/tool:latest", "--image-pull-policy=IfNotPresent", "--", "sleep")
	ns.waitForPods(t, 1, "tool")
	term := ns.onTerminal(t, "exec", "-it", "tool", "--", "/tool", "tty")
	term.waitFor(t, "80x24")
	term.resize(t, 132, 50)
	term.waitFor(t, "132x50")
}
