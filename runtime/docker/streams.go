package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"
)

// Streams are our ends of a session with a process in a container.
type Streams struct {
	// In is copied to the process; its end closes the process's standard input.
	// nil: the process gets no input.
	In io.Reader
	// Out and Err take what the process writes; nil: not wanted. What comes from a
	// terminal comes through Out alone.
	Out, Err io.Writer
	// TTY gives the command of an Exec a terminal. Attach ignores it: a container
	// has a terminal or has none since it was created.
	TTY bool
	// Kill has the command of an Exec killed when its time is over, and all in its session: nobody sits there who
	// could have told it to outlive the session.
	Kill bool
	// Reap has what the command of an Exec leaves behind killed if it holds the output open.
	// Where that cannot be, the next such Exec in the container is refused while Docker waits
	// for the output, instead of being held up by it.
	Reap bool
	// Resize blocks until the terminal gets another size, and returns false when
	// there will be no other. nil: the size never changes.
	Resize func() (Size, bool)
	// Go runs the readers of In and Resize. They outlive the call until In and
	// Resize end, which is the caller's to bring about and to wait for. nil: as
	// plain goroutines.
	Go func(func())
}

// Size is a terminal's size in characters.
type Size struct{ Width, Height uint16 }

func (s Size) sdk() container.ResizeOptions {
	return container.ResizeOptions{Width: uint(s.Width), Height: uint(s.Height)}
}

// detachKeys replaces the keys ctrl-p ctrl-q, which would end a terminal session
// on Docker's side, and hold back each ctrl-p until the next key. No kubelet has
// such keys and Docker cannot do without: nobody types these, and the first one
// shows nothing that could come late.
const detachKeys = "ctrl-@,ctrl-^,ctrl-@,ctrl-_,ctrl-@"

// The end of a command's output is not yet its end: Docker hears of that a moment
// later, and a command may close its output and go on. So ask soon, then ever
// less often.
const (
	execPollFirst = 2 * time.Millisecond
	execPollMost  = 10 * time.Second
)

// Exec runs a command in a running container and returns its exit code. The error is a
// NotStartedError if Docker could not start it.
//
// When ctx ends or the output can't be delivered, the command gets SIGHUP, as
// from a terminal that hangs up; one that ignores it (nohup) goes on, unless
// Streams.Kill. Docker has no call for that, so it works only with an engine on
// this machine.
func (e *Engine) Exec(ctx context.Context, id string, cmd []string, s Streams) (int, error) {
	if s.Reap && e.held.has(id, time.Now()) {
		return 0, fmt.Errorf("exec in container %s: %w", short(id), errOutputHeld)
	}
	created, err := e.createExec(ctx, id, cmd, s)
	if err != nil {
		return 0, fmt.Errorf("exec in container %s: %w", short(id), err)
	}
	conn, err := hijack(ctx, func() (types.HijackedResponse, error) {
		return e.cli.ContainerExecAttach(ctx, created, container.ExecAttachOptions{Tty: s.TTY})
	})
	if err != nil {
		return 0, fmt.Errorf("exec in container %s: %w", short(id), err)
	}
	out := &execOutput{to: orDiscard(s.Out), failed: func() bool { return e.execFailed(ctx, created) }}
	s.Out = out
	reaped := func() bool { return false }
	if s.Reap {
		reaped = e.reap(ctx, id, created, conn.Close)
	}
	err = s.pump(ctx, conn, s.TTY, conn.Reader, func(size Size) error {
		ctx, cancel := bounded(ctx, QueryTimeout)
		defer cancel()
		return e.cli.ContainerExecResize(ctx, created, size.sdk())
	})
	if reaped() && ctx.Err() == nil {
		err = nil // the output ended when it was given up
	}
	if out.reason != "" {
		return 0, &NotStartedError{Container: id, Reason: out.reason}
	}
	code := 0
	if err == nil {
		code, err = e.execEnd(ctx, created)
	}
	if err != nil {
		end := e.hangUp
		if s.Kill {
			end = e.killLeft
		}
		err = errors.Join(err, end(context.WithoutCancel(ctx), id, created))
		return 0, fmt.Errorf("exec in container %s: %w", short(id), err)
	}
	return code, nil
}

func (e *Engine) createExec(ctx context.Context, id string, cmd []string, s Streams) (string, error) {
	ctx, cancel := bounded(ctx, CreateTimeout)
	defer cancel()
	resp, err := e.cli.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: cmd, Tty: s.TTY, DetachKeys: detachKeys,
		AttachStdin: s.In != nil, AttachStdout: s.Out != nil, AttachStderr: s.Err != nil,
	})
	return resp.ID, err
}

// execEnd waits for a command to end and returns its exit code.
func (e *Engine) execEnd(ctx context.Context, exec string) (int, error) {
	i, err := e.execPoll(ctx, exec, func(i container.ExecInspect) bool { return !i.Running })
	return i.ExitCode, err
}

// execPoll asks about a command until it is as wanted.
func (e *Engine) execPoll(ctx context.Context, exec string, wanted func(container.ExecInspect) bool) (container.ExecInspect, error) {
	for wait := execPollFirst; ; wait = min(2*wait, execPollMost) {
		i, err := e.inspectExec(ctx, exec)
		if err != nil || wanted(i) {
			return i, err
		}
		select {
		case <-ctx.Done():
			return i, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func (e *Engine) inspectExec(ctx context.Context, exec string) (container.ExecInspect, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	return e.cli.ContainerExecInspect(ctx, exec)
}

// hangUp sends SIGHUP to a command's process group: runc makes every command the
// leader of a session.
func (e *Engine) hangUp(ctx context.Context, id, exec string) error {
	ctx, cancel := bounded(ctx, KillTimeout)
	defer cancel()
	i, err := e.execPoll(ctx, exec, func(i container.ExecInspect) bool { return !i.Running || i.Pid != 0 })
	if IsNotFound(err) || err == nil && !i.Running {
		return nil // it has ended
	}
	if err != nil {
		return fmt.Errorf("hang up the command: %w", err)
	}
	if err := owns(id, i.Pid); err != nil {
		return fmt.Errorf("hang up the command: %w", err)
	}
	err = unix.Kill(-i.Pid, unix.SIGHUP)
	if errors.Is(err, unix.ESRCH) {
		err = unix.Kill(i.Pid, unix.SIGHUP)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("hang up the command, process %d: %w", i.Pid, err)
	}
	return nil
}

// owns makes sure that a process is the container's: its number may belong to
// another machine (a remote engine) or to a later process of this one.
func owns(id string, pid int) error {
	cgroups, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return fmt.Errorf("process %d of container %s is not visible here: %w", pid, short(id), err)
	}
	if !strings.Contains(string(cgroups), id) {
		return fmt.Errorf("process %d is not one of container %s: does the Docker Engine run on another machine?", pid, short(id))
	}
	return nil
}
