package runtime

import (
	"context"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// The fake engine's events.

type fakeWatch struct {
	events chan docker.Event
	broken chan struct{}
}

// Watch is the real one's loop without its delays: it waits for the engine instead.
func (f *fakeEngine) Watch(ctx context.Context, _ map[string]string, w docker.Watcher) {
	for ctx.Err() == nil {
		if err := f.Ping(ctx); err != nil {
			w.Disconnected(err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		watch := &fakeWatch{events: make(chan docker.Event, 1000), broken: make(chan struct{})}
		f.mu.Lock()
		f.watchers[watch] = struct{}{}
		f.mu.Unlock()
		w.Connected()
		f.pump(ctx, watch, w)
	}
}

func (f *fakeEngine) pump(ctx context.Context, watch *fakeWatch, w docker.Watcher) {
	for {
		select {
		case e := <-watch.events:
			w.Event(e)
		case <-watch.broken:
			w.Disconnected(errFakeDown)
			return
		case <-ctx.Done():
			return
		}
	}
}

func (f *fakeEngine) tell(c *fakeContainer, action string) {
	for w := range f.watchers {
		w.events <- docker.Event{ID: c.ID, Action: action, Labels: c.Labels, Time: time.Now(), ExitCode: c.ExitCode}
	}
}
