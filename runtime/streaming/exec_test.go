package streaming

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
)

// The ways in which clients speak. The fourth version over WebSocket is that of
// clients before kubectl 1.30; their input has no end.
var (
	overSPDY = dialect{"SPDY", func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(c, http.MethodPost, u)
	}}
	overWebSocket = dialect{"WebSocket", func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutor(c, http.MethodGet, u.String())
	}}
	overWebSocket4 = dialect{"WebSocket v4", func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutorForProtocols(c, http.MethodGet, u.String(), "v4.channel.k8s.io")
	}}
)

type dialect struct {
	name     string
	executor func(*rest.Config, *url.URL) (remotecommand.Executor, error)
}

// session is a request to exec or attach as client-go makes it.
func (d dialect) session(ctx context.Context, t *testing.T, r *rig, path string, command []string, opts remotecommand.StreamOptions) error {
	t.Helper()
	u, err := url.Parse(r.url + path)
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"command": command}
	for name, wanted := range map[string]bool{"input": opts.Stdin != nil, "output": opts.Stdout != nil, "error": opts.Stderr != nil, "tty": opts.Tty} {
		if wanted {
			query.Set(name, "1")
		}
	}
	u.RawQuery = query.Encode()
	executor, err := d.executor(&rest.Config{Host: r.url}, u)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, streamDeadline)
	defer cancel()
	return executor.StreamWithContext(ctx, opts)
}

// sizes is a terminal whose size a test sets.
type sizes chan remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize {
	size, ok := <-s
	if !ok {
		return nil
	}
	return &size
}

const execPath = "/exec/default/web/app"

func TestExec(t *testing.T) {
	r := newRig(t)
	r.start(t, "app", docker.ContainerSpec{}, "sleep")
	for _, d := range []dialect{overSPDY, overWebSocket, overWebSocket4} {
		t.Run(d.name, func(t *testing.T) {
			t.Run("keeps the outputs apart", func(t *testing.T) {
				var out, errs bytes.Buffer
				err := d.session(t.Context(), t, r, execPath, []string{"/talker", "say", "grüße", "fehler"},
					remotecommand.StreamOptions{Stdout: &out, Stderr: &errs})
				if err != nil || out.String() != "grüße\n" || errs.String() != "fehler\n" {
					t.Errorf("got %q and %q, %v", out.String(), errs.String(), err)
				}
			})
			t.Run("leaves out the output that nobody wants", func(t *testing.T) {
				var errs bytes.Buffer
				err := d.session(t.Context(), t, r, execPath, []string{"/talker", "say", "out", "err"},
					remotecommand.StreamOptions{Stderr: &errs})
				if err != nil || errs.String() != "err\n" {
					t.Errorf("got %q, %v", errs.String(), err)
				}
			})
			t.Run("returns the exit code", func(t *testing.T) {
				err := d.session(t.Context(), t, r, execPath, []string{"/talker", "exit", "42"},
					remotecommand.StreamOptions{Stdout: io.Discard})
				wantExitCode(t, err, 42)
			})
			t.Run("waits for a command that closed its outputs", func(t *testing.T) {
				err := d.session(t.Context(), t, r, execPath, []string{"/talker", "shut"},
					remotecommand.StreamOptions{Stdout: io.Discard, Stderr: io.Discard})
				wantExitCode(t, err, 7)
			})
			t.Run("tells why a command cannot be started", func(t *testing.T) {
				var out safeBuffer
				err := d.session(t.Context(), t, r, execPath, []string{"/nope"},
					remotecommand.StreamOptions{Stdout: &out, Stderr: &out})
				if err == nil || !strings.Contains(err.Error(), "error executing command in container") || !strings.Contains(err.Error(), `"/nope"`) || out.String() != "" {
					t.Errorf("got the error %v and the output %q", err, out.String())
				}
			})
			t.Run("gives a terminal of the client's size", func(t *testing.T) { testTerminal(t, r, d, execPath, []string{"/talker", "size"}) })
			t.Run("ends the command when the client leaves", func(t *testing.T) { testHangUp(t, r, d, false) })
			t.Run("ends the command when the client's terminal is gone", func(t *testing.T) { testHangUp(t, r, d, true) })
			if d.name == overWebSocket4.name {
				return
			}
			t.Run("passes the end of the input on", func(t *testing.T) {
				sent := bytes.Repeat([]byte("0123456789abcde\n"), 1<<17) // 2 MiB
				var out, errs bytes.Buffer
				err := d.session(t.Context(), t, r, execPath, []string{"/talker", "cat"},
					remotecommand.StreamOptions{Stdin: bytes.NewReader(sent), Stdout: &out, Stderr: &errs})
				if err != nil || !bytes.Equal(out.Bytes(), sent) || errs.String() != "eof\n" {
					t.Errorf("sent %d bytes, got %d and %q, %v", len(sent), out.Len(), errs.String(), err)
				}
			})
		})
	}
}

func wantExitCode(t *testing.T, err error, want int) {
	t.Helper()
	var exit utilexec.CodeExitError
	if !errors.As(err, &exit) || exit.Code != want {
		t.Errorf("got %v, want exit code %d", err, want)
	}
}

// testTerminal resizes a terminal in which talker's size runs.
func testTerminal(t *testing.T, r *rig, d dialect, path string, command []string) {
	screen := make(sizes, 1)
	defer close(screen)
	screen <- remotecommand.TerminalSize{Width: 71, Height: 17}
	in, keys := io.Pipe()
	defer keys.Close()
	var out safeBuffer
	done := make(chan error, 1)
	go func() {
		done <- d.session(t.Context(), t, r, path, command, remotecommand.StreamOptions{Stdin: in, Stdout: &out, Tty: true, TerminalSizeQueue: screen})
	}()
	press := func(key string) {
		if _, err := io.WriteString(keys, key); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "the first size", func() bool { press("\n"); return strings.Contains(out.String(), "size 71x17") })
	screen <- remotecommand.TerminalSize{Width: 122, Height: 44}
	within(t, "the second size", func() bool { press("\n"); return strings.Contains(out.String(), "size 122x44") })
	press("q\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// testHangUp leaves a command that would run on.
func testHangUp(t *testing.T, r *rig, d dialect, tty bool) {
	running := func() bool {
		var out bytes.Buffer
		if err := d.session(t.Context(), t, r, execPath, []string{"/talker", "ps"}, remotecommand.StreamOptions{Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(out.String(), "left alone")
	}
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- d.session(ctx, t, r, execPath, []string{"/talker", "sleep", "left alone"}, remotecommand.StreamOptions{Stdout: io.Discard, Tty: tty})
	}()
	within(t, "the command to run", running)
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the client got %v", err)
	}
	within(t, "the command to end", func() bool { return !running() })
}

func TestExecThatIsRefused(t *testing.T) {
	r := newRig(t)
	r.finish(t, "ended", r.start(t, "ended", docker.ContainerSpec{}, "exit", "0"))
	for path, words := range map[string]string{
		"/exec/default/web/nope":             `container not found ("nope")`,
		"/exec/default/web/ended":            `container not found ("ended")`,
		"/exec/default/web/some-uid/ended":   `container not found ("ended")`,
		"/exec/default/nope/app":             "pod does not exist",
		"/attach/default/web/ended":          `container ended not found in pod web_default`,
		"/attach/default/web/some-uid/ended": `container ended not found in pod web_default`,
	} {
		for _, d := range []dialect{overSPDY, overWebSocket} {
			err := d.session(t.Context(), t, r, path, nil, remotecommand.StreamOptions{Stdout: io.Discard})
			if err == nil || d.name == overSPDY.name && !strings.Contains(err.Error(), words) {
				t.Errorf("%s over %s: got %v, want %s", path, d.name, err, words)
			}
		}
	}
	if status, body := r.get(t, execPath+"?command=x"); status != http.StatusBadRequest || !strings.Contains(body, "at least 1 of stdin, stdout, stderr") {
		t.Errorf("exec without streams got %d %q", status, body)
	}
}

func TestSessionsEndWithTheAgent(t *testing.T) {
	for _, d := range []dialect{overSPDY, overWebSocket} {
		t.Run(d.name, func(t *testing.T) {
			r := newRig(t)
			r.start(t, "app", docker.ContainerSpec{Stdin: true}, "cat")
			done := make(chan error, 2)
			for _, path := range []string{execPath, "/attach/default/web/app"} {
				in, keys := io.Pipe()
				defer keys.Close()
				var out safeBuffer
				opts := remotecommand.StreamOptions{Stdin: in, Stdout: &out}
				go func() { done <- d.session(t.Context(), t, r, path, []string{"/talker", "cat"}, opts) }()
				if _, err := io.WriteString(keys, "hello\n"); err != nil {
					t.Fatal(err)
				}
				within(t, "the session", func() bool { return out.String() == "hello\n" })
				defer func() { // the client's side ends with its input
					keys.Close()
					<-done
				}()
			}
			r.end(t)
		})
	}
}
