package docker

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// WatchImages calls came whenever an image or a name of one may have come: it was built,
// loaded, imported, pulled or tagged by anybody, or the stream was closed for a while. It
// returns when ctx ends. That the stream broke is told by Watch.
func (e *Engine) WatchImages(ctx context.Context, came func()) {
	e.watchOthers(ctx, came, events.ImageEventType, "", events.ActionTag, events.ActionLoad, events.ActionImport, events.ActionPull)
}

// WatchNetwork calls gone whenever a network may have been removed: it was, or the stream was
// closed for a while. It returns when ctx ends.
func (e *Engine) WatchNetwork(ctx context.Context, name string, gone func()) {
	e.watchOthers(ctx, gone, events.NetworkEventType, name, events.ActionDestroy)
}

// watchOthers calls changed for events of what is no container: of one name, or of any if it
// is empty.
func (e *Engine) watchOthers(ctx context.Context, changed func(), kind events.Type, name string, actions ...events.Action) {
	args := filters.NewArgs(filters.Arg("type", string(kind)))
	if name != "" {
		args.Add(string(kind), name)
	}
	for _, action := range actions {
		args.Add("event", string(action))
	}
	keepOpen(ctx, func() (bool, error) { return e.watchOthersOnce(ctx, args, changed) }, func(error) {})
}

func (e *Engine) watchOthersOnce(ctx context.Context, args filters.Args, changed func()) (connected bool, err error) {
	if err := e.Ping(ctx); err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, failed := e.cli.Events(ctx, events.ListOptions{Filters: args, Since: sinceArg(time.Now())})
	changed()
	for {
		select {
		case <-messages:
			changed()
		case err := <-failed:
			return true, failure(err, "read Docker's events of images and networks")
		}
	}
}
