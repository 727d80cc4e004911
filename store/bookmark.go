package store

import (
	"context"
	"time"
)

// A bookmarkTimer says when a watch is to send its next bookmark: once per interval, and a little before its deadline.
type bookmarkTimer struct {
	interval time.Duration
	last     time.Time // the one before the deadline; zero if there is no deadline or it has been sent
	timer    *time.Timer
	due      bool
}

func newBookmarkTimer(ctx context.Context, on bool, interval time.Duration) *bookmarkTimer {
	t := &bookmarkTimer{interval: interval}
	if !on {
		return t
	}
	if deadline, ok := ctx.Deadline(); ok {
		t.last = deadline.Add(-lastBookmark)
	}
	t.timer = time.NewTimer(t.wait())
	return t
}

// wait returns the time until the next bookmark.
func (t *bookmarkTimer) wait() time.Duration {
	if left := time.Until(t.last); left > 0 && left < t.interval {
		return left
	}
	return t.interval
}

func (t *bookmarkTimer) reset() {
	t.due = false
	t.timer.Reset(t.wait())
}

// c returns the channel to wait on: nil, which never is ready, for a watch without bookmarks.
func (t *bookmarkTimer) c() <-chan time.Time {
	if t.timer == nil {
		return nil
	}
	return t.timer.C
}

func (t *bookmarkTimer) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}
