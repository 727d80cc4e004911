package runtime

import (
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
)

// What nobody waits for is written a little later than it happens: a request to the API
// server takes processor time that the containers which start right now could use.

// eventDelay is how long after it happened an event is written at the latest.
const eventDelay = 2 * time.Second

// startsInProgress counts the Pods of which something is being created or started.
type startsInProgress struct {
	mu    sync.Mutex // guards what follows
	count int
	none  chan struct{} // closed when count is 0
}

func newStarts() *startsInProgress {
	l := &startsInProgress{none: make(chan struct{})}
	close(l.none)
	return l
}

func (l *startsInProgress) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 0 {
		l.none = make(chan struct{})
	}
	l.count++
}

func (l *startsInProgress) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count--
	if l.count == 0 {
		close(l.none)
	}
}

// over is closed when nothing starts any more.
func (l *startsInProgress) over() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.none
}

// deferredEvents writes events in their order, each when nothing starts or it was delayed for eventDelay.
type deferredEvents struct {
	record.EventSink
	starts *startsInProgress
	ended  <-chan struct{} // closed when the agent ends
	now    func() time.Time
}

// Create implements record.EventSink.
func (u deferredEvents) Create(e *v1.Event) (*v1.Event, error) {
	u.wait(e)
	return u.EventSink.Create(e)
}

// Patch implements record.EventSink.
func (u deferredEvents) Patch(e *v1.Event, change []byte) (*v1.Event, error) {
	u.wait(e)
	return u.EventSink.Patch(e, change)
}

func (u deferredEvents) wait(e *v1.Event) {
	timer := time.NewTimer(e.LastTimestamp.Add(eventDelay).Sub(u.now()))
	defer timer.Stop()
	select {
	case <-u.starts.over():
	case <-timer.C:
	case <-u.ended:
	}
}
