package docker

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/events"
)

// How long to wait before the stream is opened again: fast at first, because an
// engine restarts in a second or two, then as slow as everything that polls.
const (
	reconnectFirst = 100 * time.Millisecond
	reconnectMax   = 10 * time.Second
)

// Event says that something happened to a container.
type Event struct {
	ID     string
	Action string // start, die, oom, pause, unpause or destroy
	Labels map[string]string
	Time   time.Time
	// ExitCode is the exit code of action die; -1 if the engine does not tell.
	ExitCode int
}

// Watcher receives what Watch sees. Its methods are called one at a time.
type Watcher interface {
	// Connected is called whenever the stream is open, and before its first event:
	// what happened before must be listed.
	Connected()
	// Disconnected is called when an open stream broke or could not be opened.
	Disconnected(err error)
	// Event is called for each event.
	Event(Event)
}

// Watch streams the events of containers that carry the labels until ctx ends. A
// stream that breaks, as it does when the engine restarts, is opened again.
func (e *Engine) Watch(ctx context.Context, labels map[string]string, w Watcher) {
	keepOpen(ctx, func() (bool, error) { return e.watchOnce(ctx, labels, w) }, w.Disconnected)
}

// keepOpen opens a stream again whenever it broke, until ctx ends.
func keepOpen(ctx context.Context, read func() (connected bool, err error), broke func(error)) {
	delay := reconnectFirst
	for ctx.Err() == nil {
		connected, err := read()
		if ctx.Err() != nil {
			return
		}
		broke(err)
		if connected {
			delay = reconnectFirst
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, reconnectMax)
	}
}

// watchOnce reads one stream until it breaks.
func (e *Engine) watchOnce(ctx context.Context, labels map[string]string, w Watcher) (connected bool, err error) {
	if err := e.Ping(ctx); err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Since covers the moment between the request and the subscription in the
	// engine: events from then on are replayed.
	now := time.Now()
	args := labelFilter(labels)
	args.Add("type", string(events.ContainerEventType))
	for _, action := range watchedActions {
		args.Add("event", string(action))
	}
	messages, failed := e.cli.Events(ctx, events.ListOptions{Filters: args, Since: sinceArg(now)})
	w.Connected()
	for {
		select {
		case m := <-messages:
			w.Event(fromMessage(m))
		case err := <-failed:
			return true, failure(err, "read Docker's events")
		}
	}
}

// watchedActions are those that change a container's state. Filtering in the
// engine keeps exec probes and attach from waking us; who creates a container knows it.
var watchedActions = []events.Action{
	events.ActionStart, events.ActionDie, events.ActionOOM,
	events.ActionPause, events.ActionUnPause, events.ActionDestroy,
}

func sinceArg(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + fmt.Sprintf("%09d", t.Nanosecond())
}

func fromMessage(m events.Message) Event {
	code, err := strconv.Atoi(m.Actor.Attributes["exitCode"])
	if err != nil {
		code = -1
	}
	return Event{
		ID: m.Actor.ID, Action: string(m.Action), Labels: m.Actor.Attributes,
		Time: time.Unix(0, m.TimeNano), ExitCode: code,
	}
}
