package e2e

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// stream is a command that goes on: its lines are read while it runs.
type stream struct {
	lines chan string
	ended chan error
}

// follow starts a verb such as `logs -f`. It ends with the test at the latest.
func (n namespace) follow(t *testing.T, args ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := n.in.command(ctx, n.args(args)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &stream{lines: make(chan string, 100), ended: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.read(ctx, stdout)
		s.ended <- cmd.Wait()
	}()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func (s *stream) read(ctx context.Context, from io.Reader) {
	defer close(s.lines)
	for scanner := bufio.NewScanner(from); scanner.Scan(); {
		select {
		case s.lines <- scanner.Text():
		case <-ctx.Done(): // the test is over and reads no more
			return
		}
	}
}

// waitFor reads until a line contains part, and returns that line.
func (s *stream) waitFor(t *testing.T, part string) string {
	t.Helper()
	var seen []string
	for deadline := time.After(patience); ; {
		select {
		case line, ok := <-s.lines:
			if !ok {
				t.Fatalf("ended without %q: %q", part, seen)
			}
			if seen = append(seen, line); strings.Contains(line, part) {
				return line
			}
		case <-deadline:
			t.Fatalf("no %q after %v: %q", part, patience, seen)
		}
	}
}

// waitUntilEnded waits for the command's end and fails unless it exits with 0.
func (s *stream) waitUntilEnded(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(patience):
		t.Errorf("goes on after %v", patience)
	}
}

// A script that follows a container hears when it ends, though it is restarted.
func TestFollowedLogEndsWithTheRun(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "follow")
	ns.must(t, "run", "again", "--image=kube-lite-test/shell:latest", "--image-pull-policy=Never", "--",
		"sh", "-c", "echo begun; until [ -e /over ]; do sleep 0.1; done; printf unfinished")
	ns.waitForPods(t, 1, "again")
	s := ns.follow(t, "logs", "again", "--follow")
	s.waitFor(t, "begun")
	ns.must(t, "exec", "again", "--", "touch", "/over")
	s.waitFor(t, "unfinished")
	s.waitUntilEnded(t)
	ns.waitForValue(t, "pod/again", "{.status.containerStatuses[0].restartCount}", "1")
}
