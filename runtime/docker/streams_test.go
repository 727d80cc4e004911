package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

const stamp = "2026-01-02T03:04:05.123456789Z "

func TestStampsStayAtTheBeginningOfLines(t *testing.T) {
	full := strings.Repeat("x", messageSize)
	for name, c := range map[string]struct{ messages, want []string }{
		"lines":                    {[]string{stamp + "a\n", stamp + "b\n"}, []string{stamp + "a\n", stamp + "b\n"}},
		"a long line":              {[]string{stamp + full, stamp + full, stamp + "end\n", stamp + "b\n"}, []string{stamp + full, full, "end\n", stamp + "b\n"}},
		"a line of exactly 16 KiB": {[]string{stamp + full, stamp + "\n", stamp + "b\n"}, []string{stamp + full, "\n", stamp + "b\n"}},
		"an empty line":            {[]string{stamp + "\n", stamp + "b\n"}, []string{stamp + "\n", stamp + "b\n"}},
		"a message without stamp":  {[]string{stamp + full, "not a stamp, though long enough to be one\n"}, []string{stamp + full, "not a stamp, though long enough to be one\n"}},
		"no newline at the end":    {[]string{stamp + "a\n", stamp + "b"}, []string{stamp + "a\n", stamp + "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var framed strings.Builder
			lines := &lineStamps{w: &framed}
			for _, m := range c.messages {
				if n, err := io.WriteString(lines, m); n != len(m) || err != nil {
					t.Fatalf("wrote %d of %d, %v", n, len(m), err)
				}
			}
			if want := strings.Join(c.want, ""); framed.String() != want {
				t.Errorf("from messages: got %d bytes, want %d", framed.Len(), len(want))
			}
			if name == "a message without stamp" {
				return // a terminal's log has none
			}
			var raw strings.Builder
			if err := copyMessages(&lineStamps{w: &raw}, pieces{strings.NewReader(strings.Join(c.messages, ""))}); err != nil {
				t.Fatal(err)
			}
			if raw.String() != framed.String() {
				t.Errorf("from a terminal's log: got %d bytes, want %d", raw.Len(), framed.Len())
			}
		})
	}
}

// pieces reads in pieces that fall on no boundary.
type pieces struct{ r io.Reader }

func (o pieces) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 7)]) }

func TestFailedWriteEndsTheCopy(t *testing.T) {
	full := errors.New("no space")
	if err := copyMessages(writerFunc(func([]byte) (int, error) { return 0, full }), strings.NewReader("a\nb\n")); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestOutputOfAnEndedContainerIsReadToItsEnd(t *testing.T) {
	engine, ours := net.Pipe()
	defer engine.Close()
	out := &drainReader{conn: types.NewHijackedResponse(ours, "")}
	out.end()
	go func() { // the connection stays open: the engine waits for the container's next start
		for range 3 {
			_, _ = io.WriteString(engine, "more\n")
		}
	}()
	if got, err := io.ReadAll(out); err != nil || string(got) != "more\nmore\nmore\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEngineThatDoesNotAnswerHoldsNobody(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("left")
	engine, ours := net.Pipe()
	answer := make(chan struct{})
	cancel(left)
	_, err := hijack(ctx, func() (types.HijackedResponse, error) {
		<-answer
		return types.NewHijackedResponse(ours, ""), nil
	})
	if !errors.Is(err, left) {
		t.Errorf("got %v, want %v", err, left)
	}
	close(answer)
	if _, err := engine.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the late connection was not closed: %v", err)
	}
}

func TestProcessesOfOthersAreNotTouched(t *testing.T) {
	if err := owns("0123456789abcdef", os.Getpid()); err == nil {
		t.Error("this test passes for a container's process")
	}
	if err := owns("0123456789abcdef", 1<<22+1); err == nil { // above the kernel's highest number
		t.Error("a process that does not exist passes for a container's")
	}
}

// cancelAtFirst ends a context as soon as something is written.
func cancelAtFirst(cancel func()) io.Writer {
	return writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
}

func TestCommandWhoseTimeIsOverIsKilledIfThatIsWanted(t *testing.T) {
	d := newDockerTest(t)
	id := d.run(d.spec("deaf"))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := d.Exec(ctx, id, []string{"/talker", "deaf"}, Streams{Out: cancelAtFirst(cancel), Kill: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("exec: %v", err)
	}
	within(t, "the command to end", func() bool {
		var list bytes.Buffer
		if _, err := d.Exec(t.Context(), id, []string{"/talker", "ps"}, Streams{Out: &list}); err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(list.String(), "deaf")
	})
}

// left tells whether a process that a command left behind runs still.
func (d *dockerTest) left(id string) bool {
	d.t.Helper()
	var list bytes.Buffer
	if _, err := d.Exec(d.t.Context(), id, []string{"/talker", "ps"}, Streams{Out: &list}); err != nil {
		d.t.Fatal(err)
	}
	return strings.Contains(list.String(), "sleep left")
}

func TestWhatACommandLeftBehindHoldsNobodyUp(t *testing.T) {
	d := newDockerTest(t)
	id := d.run(d.spec("leaves"))
	began := time.Now()
	for range 5 {
		var out bytes.Buffer
		if code, err := d.Exec(t.Context(), id, []string{"/talker", "leave", "group"}, Streams{Out: &out, Err: &out, Reap: true}); code != 3 || err != nil {
			t.Fatalf("exit code %d, %v", code, err)
		}
	}
	if took := time.Since(began); took > 5*outputHeld/2 {
		t.Errorf("five commands took %v: Docker waited for what they left", took)
	}
	if d.left(id) {
		t.Error("a process was left behind")
	}
}

func TestOutputThatAnotherSessionHoldsIsGivenUp(t *testing.T) {
	d := newDockerTest(t)
	id := d.run(d.spec("escapes"))
	run := func() (int, error) {
		return d.Exec(t.Context(), id, []string{"/talker", "leave", "session"}, Streams{Out: io.Discard, Err: io.Discard, Reap: true})
	}
	began := time.Now()
	if code, err := run(); code != 3 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	if took := time.Since(began); took > outputHeld {
		t.Errorf("the command took %v", took)
	}
	if _, err := run(); !errors.Is(err, errOutputHeld) {
		t.Errorf("while Docker waits the next one gets %v", err)
	}
	within(t, "the next command to run", func() bool { code, err := run(); return code == 3 && err == nil })
}

func TestWhatACommandStartedEndsWhenItsTimeIsOver(t *testing.T) {
	d := newDockerTest(t)
	id := d.run(d.spec("leads"))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := d.Exec(ctx, id, []string{"/talker", "lead"}, Streams{Out: cancelAtFirst(cancel), Kill: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("exec: %v", err)
	}
	within(t, "all to end", func() bool { return !d.left(id) })
}

func TestCommandThatDockerCannotStartIsToldFromOneThatFails(t *testing.T) {
	d := newDockerTest(t)
	id := d.run(d.spec("exec"))
	for _, c := range []struct {
		command []string
		want    bool
	}{
		{[]string{"/nope"}, true},
		{[]string{"nope"}, true},
		{[]string{"/"}, true},
		{[]string{"/talker", "exit", "127"}, false},
		{[]string{"/talker", "exit", "126"}, false},
		{[]string{"/talker", "exit", "0"}, false},
	} {
		var out bytes.Buffer
		code, err := d.Exec(t.Context(), id, c.command, Streams{Out: &out, Err: &out})
		var failed *NotStartedError
		if errors.As(err, &failed) != c.want || !c.want && err != nil || out.Len() > 0 {
			t.Errorf("%q: code %d, output %q, %v", c.command, code, out.String(), err)
		}
	}
}

func TestLogThatCannotBeRead(t *testing.T) {
	engine, err := Connect(t.Context(), "", nil)
	if err != nil {
		t.Skipf("needs Docker: %v", err)
	}
	defer engine.Close()
	unique := fmt.Sprintf("streams-%d-%d", os.Getpid(), time.Now().UnixNano())
	ref := "kube-lite-test/" + unique + ":empty"
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "empty", Mode: 0o644}), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := engine.Import(t.Context(), &archive, ref); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.RemoveImage(context.Background(), ref, true) })
	created, err := engine.cli.ContainerCreate(t.Context(),
		&container.Config{Image: ref, Cmd: []string{"/none"}, Labels: InstanceLabel(unique)},
		&container.HostConfig{LogConfig: container.LogConfig{Type: "none"}}, nil, nil, unique)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Remove(context.Background(), created.ID) })
	_, err = engine.Logs(t.Context(), created.ID, LogOptions{Stdout: true})
	if err == nil || !strings.Contains(err.Error(), `its logging driver "none" keeps nothing that can be read`) {
		t.Errorf("got %v", err)
	}
}
