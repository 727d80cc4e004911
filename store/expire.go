package store

import (
	"container/heap"
	"sync"
	"time"
)

const (
	// trimInterval is how often histories are cut to their age when nothing is written; more often where they are kept
	// for less.
	trimInterval = time.Minute
	// expireRetry is how long to wait after the file refused to delete what has expired.
	expireRetry = 10 * time.Second
)

// A deadline says when an entry ends, unless a later write replaced it.
type deadline struct {
	at       int64 // Unix milliseconds
	resource *resource
	key      string
	rev      uint64
}

type deadlines []deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at < d[j].at }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

// An expirer knows when which entries end. They are durable in the entries' records; this is only their order.
type expirer struct {
	wake chan struct{} // capacity 1: the first deadline has changed

	mu   sync.Mutex
	heap deadlines
}

// add notes e's deadline, if it has one.
func (x *expirer) add(r *resource, e *entry) {
	if e == nil || e.expiry == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	heap.Push(&x.heap, deadline{at: e.expiry, resource: r, key: e.key, rev: e.rev})
	if x.heap[0].rev == e.rev {
		poke(x.wake)
	}
}

// due takes the deadlines that have passed; next is when to look again, after trim at the latest.
func (x *expirer) due(now time.Time, trim time.Duration) (past []deadline, next time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.heap) > 0 && x.heap[0].at <= now.UnixMilli() {
		past = append(past, heap.Pop(&x.heap).(deadline))
	}
	next = now.Add(trim)
	if len(x.heap) > 0 && x.heap[0].at < next.UnixMilli() {
		next = time.UnixMilli(x.heap[0].at)
	}
	return past, next
}

// expireLoop deletes what has outlived its time to live, and forgets history that is too old.
func (s *Store) expireLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-s.expirer.wake:
		case <-timer.C:
		}
		past, next := s.expirer.due(time.Now(), min(trimInterval, s.opts.HistoryAge))
		if !s.expire(past) {
			next = time.Now().Add(expireRetry)
		}
		s.trim(time.Now())
		timer.Reset(time.Until(next))
	}
}

// expire deletes the entries of past as one group; those that have been written since are left alone. It returns false
// if there are some that it could not delete; they will be tried again.
func (s *Store) expire(past []deadline) bool {
	ops := make([]*op, len(past))
	for i, d := range past {
		ops[i] = &op{resource: d.resource, key: d.key, expect: d.rev}
	}
	if len(ops) == 0 || s.enqueue(ops...) != nil { // closed: the next Open finds the deadlines in the file
		return true
	}
	ok := true
	for i, o := range ops {
		if r := <-o.done; r.err != nil && r.err != errConflict {
			d := past[i]
			d.at = time.Now().Add(expireRetry).UnixMilli()
			s.expirer.mu.Lock()
			heap.Push(&s.expirer.heap, d)
			s.expirer.mu.Unlock()
			ok = false
		}
	}
	return ok
}

func (s *Store) trim(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(now)
	for _, r := range s.resources {
		if before := r.history.first; len(r.history.events) > 0 {
			r.history.trim(s.limits(), now)
			if r.history.first != before {
				r.notify() // a watch that is too slow shall learn it now
			}
		}
	}
}
