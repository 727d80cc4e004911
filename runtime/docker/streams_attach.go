package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

const (
	// attachDrain is how long the output may pause before it counts as complete, once the
	// container has ended or the client's input has.
	attachDrain = time.Second
	// detachAfter is how long a container may go on to write after the end of an input
	// that it does not see.
	detachAfter = 10 * time.Second
)

// Attach connects the streams to a container's main process, from now on: what it
// wrote before is in its log. It returns when the container ends, when ctx does
// (with its error), or when the output can't be delivered; and with the end of In, unless
// that closes the container's input, when the container has answered.
func (e *Engine) Attach(ctx context.Context, id string, s Streams) error {
	conn, err := hijack(ctx, func() (types.HijackedResponse, error) {
		return e.cli.ContainerAttach(ctx, id, container.AttachOptions{
			Stream: true, DetachKeys: detachKeys, Stdout: s.Out != nil, Stderr: s.Err != nil,
		})
	})
	if err != nil {
		return fmt.Errorf("attach to container %s: %w", short(id), err)
	}
	c, err := e.terminal(ctx, id)
	if err != nil || !c.running {
		conn.Close()
		return err
	}
	if err := e.attached(ctx, id, conn, s, c); err != nil {
		return fmt.Errorf("attach to container %s: %w", short(id), err)
	}
	return nil
}

// attached pumps until the container ends. Docker ends the session itself, unless
// the container ended just when the session began: then it would wait for the
// container's next start, which never comes.
func (e *Engine) attached(ctx context.Context, id string, conn types.HijackedResponse, s Streams, c terminal) error {
	out := &drainReader{conn: conn}
	closeInput, err := e.attachInput(ctx, id, &s, func() {
		if !c.inputOnce {
			out.endWithin(detachAfter)
		}
	})
	if err != nil {
		conn.Close()
		return err
	}
	defer closeInput()
	watch, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if _, err := e.Wait(watch, id); err == nil {
			out.end()
		}
	}()
	err = s.pump(ctx, conn, c.tty, out, func(size Size) error {
		ctx, cancel := bounded(ctx, QueryTimeout)
		defer cancel()
		return e.cli.ContainerResize(ctx, id, size.sdk())
	})
	stop()
	<-watched
	return err
}

// attachInput sends s.In over a connection of its own, and takes it out of s: at the end of
// an input that stays open for others, Docker closes the output of its connection at once,
// before the container can answer. It calls ended then.
func (e *Engine) attachInput(ctx context.Context, id string, s *Streams, ended func()) (closeInput func(), _ error) {
	input := s.In
	if s.In = nil; input == nil {
		return func() {}, nil
	}
	in, err := hijack(ctx, func() (types.HijackedResponse, error) {
		return e.cli.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, DetachKeys: detachKeys})
	})
	if err != nil {
		return nil, fmt.Errorf("the input: %w", err)
	}
	s.start(func() {
		_, _ = io.Copy(in.Conn, input) // either end may be gone: the output tells which
		_ = in.CloseWrite()
		ended()
	})
	return in.Close, nil
}

// terminal is what sessions need to know of a container.
type terminal struct {
	tty, running bool
	inputOnce    bool // the end of a client's input is the end of the container's
}

func (e *Engine) terminal(ctx context.Context, id string) (terminal, error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	c, err := e.cli.ContainerInspect(ctx, id)
	if err != nil {
		return terminal{}, fmt.Errorf("inspect container %s: %w", short(id), err)
	}
	return terminal{tty: c.Config.Tty, running: c.State.Running, inputOnce: c.Config.StdinOnce && !c.Config.Tty}, nil
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

// drainReader reads a session's output. After an end, a pause of attachDrain is the
// output's end.
type drainReader struct {
	conn types.HijackedResponse

	mu    sync.Mutex // guards what follows, and the order of deadlines
	ended bool
	last  time.Time // when the output ends anyway; zero: never
}

// end begins to drain: the container has ended, and what is left is all there will be.
func (d *drainReader) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended, d.last = true, time.Time{}
	d.setDeadline() // wakes a Read under way
}

// endWithin begins to drain a container that may go on for ever.
func (d *drainReader) endWithin(limit time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended {
		return
	}
	d.ended, d.last = true, time.Now().Add(limit)
	d.setDeadline()
}

// setDeadline bounds the next Read once there is an end. Call it with mu held.
func (d *drainReader) setDeadline() {
	if !d.ended {
		return
	}
	deadline := time.Now().Add(attachDrain)
	if !d.last.IsZero() && d.last.Before(deadline) {
		deadline = d.last
	}
	_ = d.conn.Conn.SetReadDeadline(deadline)
}

func (d *drainReader) Read(p []byte) (int, error) {
	d.mu.Lock()
	d.setDeadline()
	d.mu.Unlock()
	n, err := d.conn.Reader.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}
