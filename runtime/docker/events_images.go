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
	keepOpen(ctx, func() (bool, error) { return e.watchImagesOnce(ctx, came) }, func(error) {})
}

func (e *Engine) watchImagesOnce(ctx context.Context, came func()) (connected bool, err error) {
	if err := e.Ping(ctx); err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	args := filters.NewArgs(filters.Arg("type", string(events.ImageEventType)))
	for _, action := range []events.Action{events.ActionTag, events.ActionLoad, events.ActionImport, events.ActionPull} {
		args.Add("event", string(action))
	}
	messages, failed := e.cli.Events(ctx, events.ListOptions{Filters: args, Since: sinceArg(time.Now())})
	came()
	for {
		select {
		case <-messages:
			came()
		case err := <-failed:
			return true, failure(err, "read Docker's events of images")
		}
	}
}
