package streaming

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"k8s.io/client-go/tools/remotecommand"
)

func TestAttach(t *testing.T) {
	for _, d := range []dialect{overSPDY, overWebSocket} {
		t.Run(d.name, func(t *testing.T) {
			r := newRig(t)
			t.Run("carries input and output until the container ends", func(t *testing.T) {
				r.start(t, "once", docker.ContainerSpec{Stdin: true, StdinOnce: true}, "cat")
				var out, errs bytes.Buffer
				err := d.session(t.Context(), t, r, "/attach/default/web/once", nil,
					remotecommand.StreamOptions{Stdin: strings.NewReader("hello\n"), Stdout: &out, Stderr: &errs})
				if err != nil || out.String() != "hello\n" || errs.String() != "eof\n" {
					t.Errorf("got %q and %q, %v", out.String(), errs.String(), err)
				}
			})
			t.Run("begins with what a container for one session has said", func(t *testing.T) {
				id := r.startHeld(t, "spoke", docker.ContainerSpec{Stdin: true, StdinOnce: true}, "say", "to out", "to err")
				if _, err := r.engine.Wait(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				for _, want := range [][2]string{{"to out\n", "to err\n"}, {"", ""}} { // and only the first session does
					var out, errs bytes.Buffer
					err := d.session(t.Context(), t, r, "/attach/default/web/spoke", nil,
						remotecommand.StreamOptions{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
					if err != nil || out.String() != want[0] || errs.String() != want[1] {
						t.Errorf("got %q and %q, %v; want %q", out.String(), errs.String(), err, want)
					}
				}
			})
			t.Run("leaves out what a client has read in the log", func(t *testing.T) {
				id := r.startHeld(t, "read", docker.ContainerSpec{Stdin: true, StdinOnce: true}, "say", "to out", "to err")
				if _, err := r.engine.Wait(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				resp, leave := r.open(t, "/containerLogs/default/web/read?stream=Stdout") // a part is not the whole
				_, _ = io.Copy(io.Discard, resp.Body)
				leave()
				r.server.shown(id, int64(len("to ")), 0)
				var out, errs bytes.Buffer
				err := d.session(t.Context(), t, r, "/attach/default/web/read", nil,
					remotecommand.StreamOptions{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs})
				if err != nil || out.String() != "out\n" || errs.String() != "to err\n" {
					t.Errorf("got %q and %q, %v", out.String(), errs.String(), err)
				}
			})
			t.Run("gives a held container its input", func(t *testing.T) {
				r.startHeld(t, "heldcat", docker.ContainerSpec{Stdin: true, StdinOnce: true}, "cat")
				var out, errs bytes.Buffer
				err := d.session(t.Context(), t, r, "/attach/default/web/heldcat", nil,
					remotecommand.StreamOptions{Stdin: strings.NewReader("hello\n"), Stdout: &out, Stderr: &errs})
				if err != nil || out.String() != "hello\n" || errs.String() != "eof\n" {
					t.Errorf("got %q and %q, %v", out.String(), errs.String(), err)
				}
			})
			t.Run("leaves the input open for the next session", func(t *testing.T) { testSecondAttach(t, r, d) })
			t.Run("brings the answer to an input that has ended", func(t *testing.T) {
				r.start(t, "answers", docker.ContainerSpec{Stdin: true}, "cat")
				for _, line := range []string{"first\n", "second\n"} {
					var out bytes.Buffer
					err := d.session(t.Context(), t, r, "/attach/default/web/answers", nil,
						remotecommand.StreamOptions{Stdin: strings.NewReader(line), Stdout: &out})
					if err != nil || out.String() != line {
						t.Errorf("got %q, %v, want %q", out.String(), err, line)
					}
				}
			})
			t.Run("gives the terminal the client's size", func(t *testing.T) {
				r.start(t, "terminal", docker.ContainerSpec{TTY: true, Stdin: true}, "size")
				testTerminal(t, r, d, "/attach/default/web/terminal", nil)
			})
			t.Run("ends with a container that ended just before", func(t *testing.T) {
				id := r.start(t, "short", docker.ContainerSpec{}, "exit", "0")
				if _, err := r.engine.Wait(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				err := d.session(t.Context(), t, r, "/attach/default/web/short", nil, remotecommand.StreamOptions{Stdout: io.Discard})
				if err != nil {
					t.Error(err)
				}
			})
			t.Run("ends with a container that ends just then", func(t *testing.T) {
				for range 3 {
					id := r.start(t, "shorter", docker.ContainerSpec{}, "sleep")
					go func() { _ = r.engine.Kill(context.Background(), id, "SIGKILL") }()
					err := d.session(t.Context(), t, r, "/attach/default/web/shorter", nil, remotecommand.StreamOptions{Stdout: io.Discard})
					if err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// testSecondAttach leaves a container whose input is not for one session only, and
// comes back.
func testSecondAttach(t *testing.T, r *rig, d dialect) {
	r.start(t, "open", docker.ContainerSpec{Stdin: true}, "cat")
	for _, line := range []string{"first\n", "second\n"} {
		ctx, leave := context.WithCancel(t.Context())
		in, keys := io.Pipe()
		var out safeBuffer
		done := make(chan error, 1)
		go func() {
			done <- d.session(ctx, t, r, "/attach/default/web/open", nil, remotecommand.StreamOptions{Stdin: in, Stdout: &out})
		}()
		if _, err := io.WriteString(keys, line); err != nil {
			t.Fatal(err)
		}
		within(t, "the echo", func() bool { return out.String() == line })
		leave()
		keys.Close()
		<-done
	}
}
