package store

import (
	"sort"
	"time"
)

// An event is one committed write: prev is nil for a create, cur for a delete. Both are shared and immutable.
type event struct {
	rev  uint64
	at   time.Time
	key  string
	prev *entry
	cur  *entry
	sent *share // the object before a delete, else the one after
}

// eventOverhead is about what an event itself weighs, so that a history of tiny objects is bounded in bytes too.
const eventOverhead = 128

// weight counts what only the history keeps alive: the previous object. The current one is in the index, or is the
// previous one of a later event.
func (e *event) weight() int64 {
	if e.prev == nil {
		return eventOverhead
	}
	return eventOverhead + int64(e.prev.size)
}

// A moment is which revision was current at a time.
type moment struct {
	at  time.Time
	rev uint64
}

// remember notes the current revision, and gives up the lists of those that were current HistoryAge ago and earlier, as
// etcd does: also where nothing was written since, so that a client meets the end of a continue token wherever it lists.
// The caller holds mu for writing.
func (s *Store) remember(now time.Time) {
	for len(s.moments) > 0 && now.Sub(s.moments[0].at) >= s.opts.HistoryAge {
		s.expired = s.moments[0].rev
		s.moments = s.moments[1:]
	}
	if n := len(s.moments); n == 0 || now.Sub(s.moments[n-1].at) >= min(trimInterval, s.opts.HistoryAge) {
		s.moments = append(s.moments, moment{now, s.rev})
	}
}

// limits bounds one history; see the fields of the same names in Options.
type limits struct {
	size  int
	bytes int64
	age   time.Duration
}

// history holds the last events of one resource, oldest first. Store.mu guards it.
type history struct {
	events []event
	// first is the sequence number of events[0]; cursors of watches are sequence numbers.
	first uint64
	// compacted is the oldest revision whose state can still be rebuilt, and that a watch can resume from.
	compacted uint64
	bytes     int64
}

func (h *history) end() uint64 { return h.first + uint64(len(h.events)) }

func (h *history) add(e event) {
	h.events = append(h.events, e)
	h.bytes += e.weight()
}

// trim drops the oldest events until the rest is within l.
func (h *history) trim(l limits, now time.Time) {
	n, bytes := 0, h.bytes
	for n < len(h.events) {
		e := &h.events[n]
		if len(h.events)-n <= l.size && bytes <= l.bytes && now.Sub(e.at) <= l.age {
			break
		}
		bytes -= e.weight()
		n++
	}
	h.drop(n)
}

// compact drops the events up to rev: rev becomes the oldest revision to read or to resume from.
func (h *history) compact(rev uint64) {
	h.drop(h.index(rev))
	h.compacted = max(h.compacted, rev)
}

func (h *history) drop(n int) {
	if n == 0 {
		return
	}
	for i := range h.events[:n] {
		h.bytes -= h.events[i].weight()
	}
	h.compacted = max(h.compacted, h.events[n-1].rev)
	clear(h.events[:n]) // the array lives on behind the rest; let its objects go
	h.events = h.events[n:]
	if len(h.events) == 0 {
		h.events = nil
	}
	h.first += uint64(n)
}

// index returns the position of the first event after rev.
func (h *history) index(rev uint64) int {
	return sort.Search(len(h.events), func(i int) bool { return h.events[i].rev > rev })
}

// after copies the events after rev out, oldest first.
func (h *history) after(rev uint64) []event {
	return append([]event(nil), h.events[h.index(rev):]...)
}

// batch copies up to n events from the cursor seq on into buf. ok is false when seq has been dropped already.
func (h *history) batch(buf []event, seq uint64, n int) (_ []event, ok bool) {
	if seq < h.first {
		return nil, false
	}
	rest := h.events[seq-h.first:]
	return append(buf[:0], rest[:min(n, len(rest))]...), true
}
