package intercept

import (
	"cmp"
	"context"
	"net"
	"sync"
	"time"
)

// dialLimit is how long the process may take to accept a connection before a pod gets it. The system accepts on behalf of a
// program that listens, so that only one that is stuck with a full queue takes this long.
const dialLimit = time.Second

// process is where intercepted connections go first, and whether they arrive there.
type process struct {
	addresses []string

	mu      sync.Mutex // guards failed
	failed  error      // the last connection; nil: it was accepted
	changed chan struct{}
}

// newProcess knows localhost by both of its addresses: a program may listen at either, and a daemon's resolver need not know
// the name.
func newProcess(to string) *process {
	p := &process{addresses: []string{to}, changed: make(chan struct{}, 1)}
	if host, port, err := net.SplitHostPort(to); err == nil && host == "localhost" {
		p.addresses = []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
	}
	return p
}

// dial connects to the process, and notes whether that succeeded.
func (p *process) dial(ctx context.Context) (net.Conn, error) {
	var first error
	dialer := net.Dialer{Timeout: dialLimit}
	for _, address := range p.addresses {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			p.note(nil)
			return conn, nil
		}
		first = cmp.Or(first, err)
	}
	if ctx.Err() == nil { // else nobody knows
		p.note(first)
	}
	return nil, first
}

func (p *process) note(err error) {
	p.mu.Lock()
	same := (err == nil) == (p.failed == nil)
	p.failed = err
	p.mu.Unlock()
	if same {
		return
	}
	select {
	case p.changed <- struct{}{}:
	default: // a token is there
	}
}

// state is what the last connection has shown.
func (p *process) state() Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return Event{State: ToPods, Error: p.failed.Error()}
	}
	return Event{State: ToProcess}
}
