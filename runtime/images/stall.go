package images

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// StallTimeout is how long a pull may go on without any progress before it is ended, so that the
// Pods that wait for it, and those to come, can try again. It is twice what kubelets had that
// drove Docker (--image-pull-progress-deadline): a slow disk takes long to write a large layer,
// of which nothing is told.
const StallTimeout = 2 * time.Minute

// stalledError is why a pull was ended.
type stalledError struct{}

func (stalledError) Error() string {
	return fmt.Sprintf("nothing arrived for %v: the download stalled", StallTimeout)
}

// untilStalled bounds a pull: the context that it returns ends, with a stalledError, when there
// was no progress for too long. The caller calls end.
func (p *puller) untilStalled(ctx context.Context, task *pull) (bounded context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	task.progressed(p.now())
	go func() {
		defer close(done)
		for {
			left := StallTimeout - p.now().Sub(p.lastProgress(task))
			if left <= 0 {
				cancel(stalledError{})
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(left):
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// lastProgress is when a pull made progress, or any other one if this one waits for its turn:
// Docker fetches three layers at once.
func (p *puller) lastProgress(task *pull) time.Time {
	p.mu.Lock()
	others := make([]*pull, 0, len(p.pulls))
	for _, other := range p.pulls {
		others = append(others, other)
	}
	p.mu.Unlock()
	last, queued := task.last()
	if queued {
		for _, other := range others {
			if at, _ := other.last(); at.After(last) {
				last = at
			}
		}
	}
	return last
}

// note keeps how far each layer is.
func (t *pull) note(p docker.Progress, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p == t.latest[p.Layer] {
		return
	}
	t.at = now
	if t.latest == nil {
		t.latest, t.layers = map[string]docker.Progress{}, map[string]docker.Progress{}
	}
	t.latest[p.Layer] = p
	if p.Total > 0 && p.Status == "Downloading" {
		t.layers[p.Layer] = p
	}
}

func (t *pull) progressed(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = now
}

// last is when there was progress. Queued tells that all layers which are not here yet wait for
// their turn.
func (t *pull) last() (at time.Time, queued bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.latest {
		switch status, _, _ := strings.Cut(p.Status, " "); status {
		case "Waiting":
			queued = true
		case "Downloading", "Extracting", "Verifying", "Retrying":
			return t.at, false
		}
		if p.Status == "Pulling fs layer" { // its turn has come
			return t.at, false
		}
	}
	return t.at, queued
}
