package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errConflict says that the key was not at the revision that the op expected.
var errConflict = errors.New("the key has changed")

// An op is one write on its way to the file.
type op struct {
	resource *resource
	key      string
	// expect is the revision that the key must have, 0 for a key that must not exist.
	expect uint64
	// put is the new object, nil to delete. The committer gives it its revision, nobody else touches it any more.
	put  *entry
	data []byte // put, encoded
	// rev is what the committer numbered the op; 0 if its expectation did not hold.
	rev  uint64
	done chan result
}

type result struct {
	rev uint64
	err error
}

// commit queues o and waits until it is durable and visible, or has failed. When ctx ends first, o may still happen.
func (s *Store) commit(ctx context.Context, o *op) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("write %s: %w", o.key, err)
	}
	if err := s.enqueue(o); err != nil {
		return 0, err
	}
	select {
	case r := <-o.done:
		return r.rev, r.err
	case <-ctx.Done():
		return 0, fmt.Errorf("write %s: %w", o.key, ctx.Err())
	}
}

func (s *Store) enqueue(ops ...*op) error {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	if s.closed {
		return ErrClosed
	}
	for _, o := range ops {
		o.done = make(chan result, 1)
	}
	s.queue = append(s.queue, ops...)
	poke(s.wake)
	return nil
}

func (s *Store) dequeue() []*op {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	ops := s.queue
	s.queue = nil
	return ops
}

// commitLoop is the only writer of the file, of Store.rev and of the resources' indexes. Ops that queue while a group
// is being synced make up the next group, so there is no delay to gather them and one fsync serves them all.
func (s *Store) commitLoop() {
	var broken error
	for {
		ops := s.dequeue()
		if len(ops) == 0 {
			select {
			case <-s.wake:
				continue
			case <-s.closing:
			}
			if ops = s.dequeue(); len(ops) == 0 { // nothing is queued after closing
				return
			}
		}
		if broken != nil {
			reply(ops, broken)
			continue
		}
		broken = s.commitGroup(ops)
	}
}

// A group is a run of ops that become durable together, and what they will change.
type group struct {
	rev      uint64 // of the last accepted op
	accepted []*op
	changes  map[*resource]*change
}

type change struct {
	tree   *index
	events []event
	grown  int64 // bytes
}

// commitGroup commits the ops whose expectations hold and answers all of them. It returns an error only if the file
// can't be written any more. Even an op whose expectation did not hold waits for the outcome, because the one that it
// lost to is not durable before.
func (s *Store) commitGroup(ops []*op) (broken error) {
	g := s.check(ops)
	if len(g.accepted) > 0 {
		if err := s.persist(g); err != nil {
			err, broken = s.failed(err)
			reply(ops, err)
			return broken
		}
		s.health.Store(nil)
		s.publish(g)
	}
	for _, o := range ops {
		if o.rev == 0 {
			o.done <- result{err: errConflict}
		} else {
			o.done <- result{rev: o.rev}
		}
	}
	return nil
}

// check applies the ops whose expectations hold to clones of the indexes and numbers them.
func (s *Store) check(ops []*op) *group {
	g := &group{rev: s.rev, changes: map[*resource]*change{}} // only the committer changes Store.rev and trees
	now := time.Now()
	for _, o := range ops {
		c := g.changes[o.resource]
		if c == nil {
			c = &change{tree: o.resource.clone(o.resource.tree)}
			g.changes[o.resource] = c
		}
		prev := lookup(c.tree, o.key)
		if revisionOf(prev) != o.expect {
			continue
		}
		g.rev++
		o.rev = g.rev
		if o.put != nil {
			o.put.stamp(o.rev)
			c.tree.ReplaceOrInsert(o.put)
		} else {
			c.tree.Delete(prev)
		}
		g.accepted = append(g.accepted, o)
		c.events = append(c.events, event{rev: o.rev, at: now, key: o.key, prev: prev, cur: o.put, sent: &share{}})
		c.grown += sizeOf(o.put) - sizeOf(prev)
	}
	return g
}

// persist turns a panic of bbolt, which it has for a file that changes under it, into an error.
func (s *Store) persist(g *group) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return s.file.write(g.accepted, g.rev)
}

// failed finds out what a failed commit means. Mostly the file is as before, and the next commit may do better. But if
// only the last sync failed, the commit may or may not survive a power cut, and a second sync would prove nothing: then
// it returns broken too, and only opening the file again tells.
func (s *Store) failed(err error) (_, broken error) {
	err = fmt.Errorf("write to store file %s: %w", s.file.path, err)
	if now, readErr := s.file.revision(); readErr != nil || now != s.rev {
		err = fmt.Errorf("%w; kube-lite must be restarted", err)
		s.log.Error("The store file is in doubt, no more writes until a restart", "err", err)
		broken = err
	}
	s.health.Store(&err)
	return err, broken
}

// publish makes a durable group visible, all of it at once, and wakes the watches.
func (s *Store) publish(g *group) {
	s.mu.Lock()
	for r, c := range g.changes {
		if len(c.events) == 0 {
			continue
		}
		r.tree = c.tree
		r.bytes += c.grown
		for _, e := range c.events {
			r.history.add(e)
		}
		r.history.trim(s.limits(), c.events[0].at)
		r.notify()
	}
	s.rev = g.rev
	s.mu.Unlock()
	for _, o := range g.accepted {
		s.expirer.add(o.resource, o.put)
	}
}

func revisionOf(e *entry) uint64 {
	if e == nil {
		return 0
	}
	return e.rev
}

func sizeOf(e *entry) int64 {
	if e == nil {
		return 0
	}
	return int64(e.size)
}

func reply(ops []*op, err error) {
	for _, o := range ops {
		o.done <- result{err: err}
	}
}

// poke wakes the one goroutine that waits on c, now or when it next looks.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
