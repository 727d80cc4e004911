package stats

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/usage"
)

const (
	// diskFresh is for how long a measured directory serves all who ask: the period at
	// which a kubelet measures.
	diskFresh = time.Minute
	// diskWait is how long an answer waits for directories. Those that take longer have no
	// figure in it, or an older one; who asks again later finds them.
	diskWait = 2 * time.Second
	// diskRoundTimeout ends a round of measuring: a directory that takes longer has no figure.
	diskRoundTimeout = time.Minute
	// diskShare bounds what that costs: what takes long to measure is not measured again for so many times as long.
	diskShare = 20
	// diskKept is for how long a figure is kept that is due and nobody asks for: not all who
	// ask want all of them.
	diskKept = 10 * diskFresh
)

// disks remembers what directories take. They are measured when somebody asks, one after
// the other in one round at a time, and at most one part in diskShare of the time.
type disks struct {
	start func(task func(context.Context)) bool
	now   func() time.Time
	log   *slog.Logger

	mu    sync.Mutex // guards what follows
	known map[string]measured
	round chan struct{} // closed at the end of the round that is under way; nil: there is none
}

// measured is what is known of a directory.
type measured struct {
	disk  usage.Disk
	ok    bool      // it could be measured
	until time.Time // when it shall be measured again
}

// measure finds out what something takes.
type measure func(context.Context) (usage.Disk, error)

// take tells what each of the parts takes, as far as that is known in time.
func (d *disks) take(ctx context.Context, parts map[string]measure) map[string]usage.Disk {
	waiting, cancel := context.WithTimeout(ctx, diskWait)
	defer cancel()
	for waiting.Err() == nil {
		round := d.begin(parts)
		if round == nil {
			break
		}
		select {
		case <-round: // it may have been another's, with other parts
		case <-waiting.Done():
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]usage.Disk{}
	for key := range parts {
		if m := d.known[key]; m.ok {
			out[key] = m.disk
		}
	}
	return out
}

// begin starts a round if one is due, and returns what tells of the end of the one under
// way.
func (d *disks) begin(parts map[string]measure) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.known, func(key string, m measured) bool { return parts[key] == nil && d.now().Sub(m.until) > diskKept })
	due := maps.Clone(parts)
	maps.DeleteFunc(due, func(key string, _ measure) bool { return d.now().Before(d.known[key].until) })
	if len(due) == 0 || d.round != nil {
		return d.round
	}
	round := make(chan struct{})
	if d.start(func(ctx context.Context) { defer d.end(round); d.measure(ctx, due) }) {
		d.round = round
	}
	return d.round
}

func (d *disks) end(round chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.round = nil
	close(round)
}

// measure is one round. Maps have no order, so if time runs out the next begins elsewhere.
func (d *disks) measure(ctx context.Context, due map[string]measure) {
	ctx, cancel := context.WithTimeout(ctx, diskRoundTimeout)
	defer cancel()
	for key, part := range due {
		if ctx.Err() != nil {
			return
		}
		began := d.now()
		disk, err := part(ctx)
		if err != nil {
			d.log.Debug("disk space cannot be measured", "part", key, "error", err)
		}
		took := d.now().Sub(began)
		d.mu.Lock()
		d.known[key] = measured{disk, err == nil, d.now().Add(max(diskFresh, diskShare*took))}
		d.mu.Unlock()
	}
}
