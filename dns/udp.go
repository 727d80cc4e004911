package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxUDPQuery is the longest packet read; queries have a few hundred
	// bytes. The rest of a longer one is cut off, which makes it malformed.
	maxUDPQuery = 4096
	// retryPause is waited after a socket error such as a lack of memory, so
	// that the loop does not spin.
	retryPause = 20 * time.Millisecond
	// maxFailures in a row, two seconds of them, make a socket unusable.
	maxFailures = 100
)

// serveUDP reads one socket until ctx ends. What the snapshot knows is answered
// by the loop itself, which never blocks; questions to upstream get a goroutine
// each, bounded by the forwarder.
func (s *Server) serveUDP(ctx context.Context, conn *net.UDPConn) error {
	var forwards sync.WaitGroup
	defer forwards.Wait()
	packet, buf := make([]byte, maxUDPQuery), make([]byte, maxUDPReply)
	for failures := 0; ; {
		n, client, err := conn.ReadFromUDPAddrPort(packet)
		if err != nil {
			failures++
			if done, err := retry(ctx, err, failures); done {
				return err
			}
			continue
		}
		failures = 0
		reply, open := s.begin(packet[:n], buf, false)
		answered := reply != nil
		sendUDP(conn, reply, client)
		switch {
		case open == nil:
		case s.forward.enter():
			forwards.Go(func() {
				defer s.forward.leave()
				if answered {
					_, _ = s.fetch(ctx, open) // what is known goes on being true for a while
					return
				}
				s.finish(ctx, open, func(reply []byte) { sendUDP(conn, reply, client) })
			})
		case !answered:
			sendUDP(conn, open.failure(), client)
		}
	}
}

// sendUDP sends a reply if there is one. One that cannot be sent is a lost
// packet: the client asks again.
func sendUDP(conn *net.UDPConn, reply []byte, client netip.AddrPort) {
	if reply != nil {
		conn.WriteToUDPAddrPort(reply, client)
	}
}

// retry waits after a socket error. It is done when the server ends, without an
// error, or when there is no hope, with one.
func retry(ctx context.Context, err error, failures int) (bool, error) {
	if ctx.Err() != nil {
		return true, nil
	}
	if errors.Is(err, net.ErrClosed) || failures >= maxFailures {
		return true, fmt.Errorf("socket failed: %w", err)
	}
	select {
	case <-ctx.Done():
		return true, nil
	case <-time.After(retryPause):
		return false, nil
	}
}
