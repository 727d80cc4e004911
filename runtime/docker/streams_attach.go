package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// attachDrain is how long the output of an ended container may pause before it
// counts as complete.
const attachDrain = time.Second

// Attach connects the streams to a container's main process, from now on: what it
// wrote before is in its log. It returns when the container ends, when ctx does
// (with its error), or when the output can't be delivered.
func (e *Engine) Attach(ctx context.Context, id string, s Streams) error {
	conn, err := hijack(ctx, func() (types.HijackedResponse, error) {
		return e.cli.ContainerAttach(ctx, id, container.AttachOptions{
			Stream: true, DetachKeys: detachKeys,
			Stdin: s.In != nil, Stdout: s.Out != nil, Stderr: s.Err != nil,
		})
	})
	if err != nil {
		return fmt.Errorf("attach to container %s: %w", short(id), err)
	}
	tty, running, err := e.terminal(ctx, id)
	if err != nil || !running {
		conn.Close()
		return err
	}
	if err := e.attached(ctx, id, conn, s, tty); err != nil {
		return fmt.Errorf("attach to container %s: %w", short(id), err)
	}
	return nil
}

// attached pumps until the container ends. Docker ends the session itself, unless
// the container ended just when the session began: then it would wait for the
// container's next start, which never comes.
func (e *Engine) attached(ctx context.Context, id string, conn types.HijackedResponse, s Streams, tty bool) error {
	out := &drainReader{conn: conn}
	watch, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if _, err := e.Wait(watch, id); err == nil {
			out.end()
		}
	}()
	err := s.pump(ctx, conn, tty, out, func(size Size) error {
		ctx, cancel := bounded(ctx, QueryTimeout)
		defer cancel()
		return e.cli.ContainerResize(ctx, id, size.sdk())
	})
	stop()
	<-watched
	return err
}

// terminal tells whether the container has a terminal and whether it runs.
func (e *Engine) terminal(ctx context.Context, id string) (tty, running bool, err error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	c, err := e.cli.ContainerInspect(ctx, id)
	if err != nil {
		return false, false, fmt.Errorf("inspect container %s: %w", short(id), err)
	}
	return c.Config.Tty, c.State.Running, nil
}

// hijack makes a streaming connection. Docker's client does not watch ctx while it
// waits for the engine's answer: an engine that hangs must not hold the caller.
func hijack(ctx context.Context, dial func() (types.HijackedResponse, error)) (types.HijackedResponse, error) {
	type answer struct {
		conn types.HijackedResponse
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		conn, err := dial()
		answers <- answer{conn, err}
	}()
	limit := time.NewTimer(StartTimeout)
	defer limit.Stop()
	var err error
	select {
	case a := <-answers:
		return a.conn, a.err
	case <-limit.C:
		err = fmt.Errorf("no answer from Docker in %s: %w", StartTimeout, context.DeadlineExceeded)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	go func() { // ends when the engine answers or its connection breaks
		if late := <-answers; late.err == nil {
			late.conn.Close()
		}
	}()
	return types.HijackedResponse{}, err
}

// pump moves the bytes of a session until the process's output ends (nil), ctx
// ends or a write fails. It closes the connection.
func (s Streams) pump(ctx context.Context, conn types.HijackedResponse, tty bool, output io.Reader, resize func(Size) error) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()
	if s.In != nil {
		s.start(func() {
			_, _ = io.Copy(conn.Conn, s.In) // either end may be gone: the output tells which
			_ = conn.CloseWrite()
		})
	}
	if s.Resize != nil {
		s.start(func() {
			for size, ok := s.Resize(); ok; size, ok = s.Resize() {
				if tty {
					_ = resize(size) // if it fails the process has ended, or the next size will do
				}
			}
		})
	}
	err := s.copyOutput(output, tty)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s Streams) start(f func()) {
	if s.Go == nil {
		go f()
		return
	}
	s.Go(f)
}

// copyOutput copies what a terminal shows as it is; without one Docker packs both
// outputs into frames.
func (s Streams) copyOutput(from io.Reader, tty bool) error {
	var err error
	if tty {
		_, err = io.Copy(orDiscard(s.Out), from)
	} else {
		_, err = stdcopy.StdCopy(orDiscard(s.Out), orDiscard(s.Err), from)
	}
	return err
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// drainReader reads a session's output. Once the container has ended, a pause of
// attachDrain is the output's end.
type drainReader struct {
	conn  types.HijackedResponse
	ended atomic.Bool
}

func (d *drainReader) end() {
	d.ended.Store(true)
	_ = d.conn.Conn.SetReadDeadline(time.Now().Add(attachDrain)) // wakes a Read under way
}

func (d *drainReader) Read(p []byte) (int, error) {
	if d.ended.Load() {
		_ = d.conn.Conn.SetReadDeadline(time.Now().Add(attachDrain))
	}
	n, err := d.conn.Reader.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}
