package docker

import (
	"context"
	"fmt"

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
	c, err := e.terminal(ctx, id)
	if err != nil {
		return err
	}
	if !c.running {
		s.In = nil
	}
	closeInput, err := e.attachInput(ctx, id, &s, func() {}) // the one client stays until the container ends
	if err != nil {
		return fmt.Errorf("attach to container %s: %w", short(id), err)
	}
	defer closeInput()
	err = s.pump(ctx, held.conn, c.tty, held.conn.Reader, func(size Size) error {
		ctx, cancel := bounded(ctx, QueryTimeout)
		defer cancel()
		return e.cli.ContainerResize(ctx, id, size.sdk())
	})
	if err != nil {
		return fmt.Errorf("attach to container %s: %w", short(id), err)
	}
	return nil
}
