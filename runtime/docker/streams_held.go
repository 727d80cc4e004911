package docker

import (
	"context"
	"fmt"
	"io"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
)

// Output is all that a container writes, kept for one reader. Docker keeps it: what
// is not read yet waits there.
type Output struct{ conn types.HijackedResponse }

// Hold begins to keep the output of a container that is not started yet. The caller
// closes what it gets, or hands it to AttachHeld.
func (e *Engine) Hold(ctx context.Context, id string) (*Output, error) {
	conn, err := hijack(ctx, func() (types.HijackedResponse, error) {
		return e.cli.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdout: true, Stderr: true, DetachKeys: detachKeys})
	})
	if err != nil {
		return nil, fmt.Errorf("hold the output of container %s: %w", short(id), err)
	}
	return &Output{conn}, nil
}

// Close lets go of the output. The container does not notice.
func (o *Output) Close() { o.conn.Close() }

// AttachHeld is Attach, but the output begins with the first byte that the container
// wrote, and may be that of a container which has ended. It closes held.
func (e *Engine) AttachHeld(ctx context.Context, id string, held *Output, s Streams) error {
	defer held.Close()
	tty, running, err := e.terminal(ctx, id)
	if err != nil {
		return err
	}
	input := s.In
	s.In = nil // the output's connection takes none
	if input != nil && running {
		in, err := hijack(ctx, func() (types.HijackedResponse, error) {
			return e.cli.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, DetachKeys: detachKeys})
		})
		if err != nil {
			return fmt.Errorf("attach to the input of container %s: %w", short(id), err)
		}
		defer in.Close()
		s.start(func() {
			_, _ = io.Copy(in.Conn, input) // either end may be gone: the output tells which
			_ = in.CloseWrite()
		})
	}
	err = s.pump(ctx, held.conn, tty, held.conn.Reader, func(size Size) error {
		ctx, cancel := bounded(ctx, QueryTimeout)
		defer cancel()
		return e.cli.ContainerResize(ctx, id, size.sdk())
	})
	if err != nil {
		return fmt.Errorf("attach to container %s: %w", short(id), err)
	}
	return nil
}
