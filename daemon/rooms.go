package daemon

import (
	"context"
	"errors"
	"fmt"
)

// rooms are the parts of the process that run. Each has its own context, so
// that they can be stopped one by one, the last started first.
type rooms struct {
	parent  context.Context // values only: the rooms outlive its end
	running []room
	// failed has the error of the first room that ended by itself.
	failed chan error
}

type room struct {
	name   string
	cancel context.CancelFunc
	done   chan error
}

func newRooms(ctx context.Context) *rooms {
	return &rooms{parent: context.WithoutCancel(ctx), failed: make(chan error, 1)}
}

// start runs a room until stop. One that ends before is an error of the whole.
func (r *rooms) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(r.parent)
	started := room{name: name, cancel: cancel, done: make(chan error, 1)}
	r.running = append(r.running, started)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			select {
			case r.failed <- fmt.Errorf("%s: %w", name, err):
			default:
			}
		}
		started.done <- err
	}()
}

// stop ends the rooms, the last started first, and waits for each.
func (r *rooms) stop() error {
	var errs []error
	for len(r.running) > 0 {
		last := r.running[len(r.running)-1]
		r.running = r.running[:len(r.running)-1]
		last.cancel()
		if err := <-last.done; err != nil && !errors.Is(err, context.Canceled) {
			errs = append(errs, fmt.Errorf("stop %s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}
