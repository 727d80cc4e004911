package stats

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kube-lite/kube-lite/runtime/usage"
)

// inDisks runs a test with disks whose rounds end with it.
func inDisks(t *testing.T, test func(*testing.T, *disks)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		defer work.Wait()
		defer cancel()
		start := func(task func(context.Context)) bool {
			work.Go(func() { task(ctx) })
			return true
		}
		test(t, &disks{start: start, now: time.Now, log: slog.New(slog.DiscardHandler), known: map[string]measured{}})
	})
}

// lasting is a measure that takes that long, and counts.
func lasting(took time.Duration, count *int64) measure {
	return func(ctx context.Context) (usage.Disk, error) {
		*count++
		select {
		case <-time.After(took):
			return usage.Disk{Bytes: *count}, nil
		case <-ctx.Done():
			return usage.Disk{}, ctx.Err()
		}
	}
}

func TestDirectoriesAreMeasuredOnceForAllWhoAsk(t *testing.T) {
	inDisks(t, func(t *testing.T, d *disks) {
		var count int64
		parts := map[string]measure{"a": lasting(0, &count)}
		for _, c := range []struct {
			pause time.Duration
			want  int64
		}{{0, 1}, {0, 1}, {diskFresh - 1, 1}, {2, 2}} {
			time.Sleep(c.pause)
			if got := d.take(t.Context(), parts)["a"].Bytes; got != c.want {
				t.Errorf("after %v: measurement %d, want %d", c.pause, got, c.want)
			}
		}
	})
}

func TestAnAnswerDoesNotWaitForLongMeasurements(t *testing.T) {
	inDisks(t, func(t *testing.T, d *disks) {
		var count int64
		const long = 20 * time.Second
		parts := map[string]measure{"a": lasting(long, &count)}
		began := time.Now()
		for range 3 { // and the next who ask start no second one
			if got := d.take(t.Context(), parts); len(got) != 0 {
				t.Errorf("got %v before it was measured", got)
			}
		}
		if took := time.Since(began); took != 3*diskWait {
			t.Errorf("three answers took %v", took)
		}
		time.Sleep(long)
		if got := d.take(t.Context(), parts)["a"].Bytes; got != 1 {
			t.Errorf("measurement %d, want the first", got)
		}
		time.Sleep(2 * diskFresh)
		if d.take(t.Context(), parts); count != 1 {
			t.Error("what took long was measured again after so short a pause")
		}
	})
}

func TestWhatCannotBeMeasuredHasNoFigure(t *testing.T) {
	inDisks(t, func(t *testing.T, d *disks) {
		var count int64
		got := d.take(t.Context(), map[string]measure{
			"bad":  func(context.Context) (usage.Disk, error) { return usage.Disk{Bytes: 5}, errors.New("no") },
			"good": lasting(0, &count),
		})
		if _, bad := got["bad"]; bad || got["good"].Bytes != 1 {
			t.Errorf("got %v", got)
		}
		time.Sleep(2 * diskKept)
		d.take(t.Context(), map[string]measure{"good": lasting(0, &count)})
		if _, kept := d.known["bad"]; kept {
			t.Error("what nobody asks for is kept")
		}
		endless := map[string]measure{"endless": lasting(time.Hour, &count)}
		d.take(t.Context(), endless)
		time.Sleep(diskRoundTimeout)
		if got := d.take(t.Context(), endless); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestWhoAsksDuringAnothersRoundGetsHisOwn(t *testing.T) {
	inDisks(t, func(t *testing.T, d *disks) {
		var count int64
		go d.take(t.Context(), map[string]measure{"a": lasting(diskWait/4, &count)})
		synctest.Wait()
		if got := d.take(t.Context(), map[string]measure{"b": lasting(diskWait/4, &count)}); got["b"].Bytes != 2 {
			t.Errorf("got %v", got)
		}
		if len(d.known) != 2 {
			t.Errorf("known are %v", d.known)
		}
	})
}
