package intercept

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// podLimit is how long a pod may take to accept a connection before the next one gets it, as in package router.
const podLimit = 5 * time.Second

// errNoEndpoints says that a Service has no pod that takes connections.
var errNoEndpoints = errors.New("no pod of the Service is ready")

// pods are the endpoints that the Service has itself.
type pods struct {
	current atomic.Pointer[[]netip.AddrPort]
	turn    atomic.Uint32
}

func (p *pods) set(endpoints []netip.AddrPort) { p.current.Store(&endpoints) }

// inTurn are all of them, beginning with the one whose turn it is.
func (p *pods) inTurn() []netip.AddrPort {
	current := p.current.Load()
	if current == nil || len(*current) == 0 {
		return nil
	}
	all, first := *current, int(p.turn.Add(1))%len(*current)
	return append(append([]netip.AddrPort{}, all[first:]...), all[:first]...)
}

// dial connects to the first that takes it.
func (p *pods) dial(ctx context.Context) (net.Conn, error) {
	err := errNoEndpoints
	dialer := net.Dialer{Timeout: podLimit}
	for _, endpoint := range p.inTurn() {
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, "tcp", endpoint.String()); err == nil {
			return conn, nil
		}
		err = fmt.Errorf("endpoint %s: %w", endpoint, err)
	}
	return nil, err
}
