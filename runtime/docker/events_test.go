package docker

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// seen is a Watcher that keeps what it sees.
type seen struct {
	mu     sync.Mutex // guards all
	ups    int
	downs  int
	events []Event
}

func (s *seen) Connected()         { s.mu.Lock(); defer s.mu.Unlock(); s.ups++ }
func (s *seen) Disconnected(error) { s.mu.Lock(); defer s.mu.Unlock(); s.downs++ }
func (s *seen) Event(e Event)      { s.mu.Lock(); defer s.mu.Unlock(); s.events = append(s.events, e) }

func (s *seen) counts() (ups, downs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ups, s.downs
}

func (s *seen) has(id, action string) (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.ID == id && e.Action == action {
			return e, true
		}
	}
	return Event{}, false
}

// cable carries connections to the engine's socket until it is cut.
type cable struct {
	listener net.Listener
	target   string
	mu       sync.Mutex // guards open
	open     map[net.Conn]struct{}
	wg       sync.WaitGroup
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: listener, target: target, open: map[net.Conn]struct{}{}}
	c.wg.Go(c.accept)
	t.Cleanup(func() { listener.Close(); c.cut(); c.wg.Wait() })
	return c
}

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("unix", c.target)
		if err != nil {
			near.Close()
			continue
		}
		c.mu.Lock()
		c.open[near], c.open[far] = struct{}{}, struct{}{}
		c.mu.Unlock()
		c.wg.Go(func() { _, _ = io.Copy(near, far); near.Close() })
		c.wg.Go(func() { _, _ = io.Copy(far, near); far.Close() })
	}
}

// cut breaks all connections, as a restart of the engine does.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Close()
	}
	clear(c.open)
}

func TestWatchSeesEventsAndComesBackWhenTheStreamBreaks(t *testing.T) {
	d := newDockerTest(t)
	path, ok := strings.CutPrefix(d.Host(), "unix://")
	if !ok {
		t.Skipf("needs a socket, not %s", d.Host())
	}
	cable := newCable(t, path)
	engine, err := Connect(t.Context(), "unix://"+cable.listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	ctx, cancel := context.WithCancel(t.Context())
	s := &seen{}
	var wg sync.WaitGroup
	wg.Go(func() { engine.Watch(ctx, d.labels, s) })
	defer wg.Wait()
	defer cancel()
	within(t, "the stream", func() bool { ups, _ := s.counts(); return ups == 1 })
	spec := d.spec("watched")
	spec.Cmd = []string{"exit", "3"}
	id := d.run(spec)
	within(t, "its end", func() bool { _, ok := s.has(id, "die"); return ok })
	if e, _ := s.has(id, "die"); e.ExitCode != 3 || e.Labels[LabelInstance] != d.unique || e.Time.IsZero() {
		t.Errorf("die %+v", e)
	}
	if _, ok := s.has(id, "start"); !ok {
		t.Error("no start")
	}
	cable.cut()
	within(t, "the next stream", func() bool { ups, downs := s.counts(); return ups == 2 && downs > 0 })
	if err := d.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	within(t, "its removal", func() bool { _, ok := s.has(id, "destroy"); return ok })
}
