package router

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// sniffer is a socket of TLS whose connections may be streams: those that a TLSRoute leads on are not HTTP's.
type sniffer struct {
	net.Listener
	router *Router
	conns  chan net.Conn
	done   chan struct{}
	end    sync.Once
}

// sniff has streams of l served until ctx ends. What it accepts is for the HTTP server.
func (r *Router) sniff(ctx context.Context, l net.Listener, running *sync.WaitGroup) net.Listener {
	s := &sniffer{Listener: l, router: r, conns: make(chan net.Conn), done: make(chan struct{})}
	running.Go(func() {
		defer s.Close()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !r.table.Load().sniffs {
				s.pass(conn)
				continue
			}
			running.Go(func() { s.look(ctx, conn) })
		}
	})
	return s
}

// Accept is net.Listener's.
func (s *sniffer) Accept() (net.Conn, error) {
	select {
	case conn := <-s.conns:
		return conn, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's.
func (s *sniffer) Close() error {
	s.end.Do(func() { close(s.done) })
	return s.Listener.Close()
}

func (s *sniffer) pass(conn net.Conn) {
	select {
	case s.conns <- conn:
	case <-s.done:
		_ = conn.Close()
	}
}

// look reads the name that a client asks for and serves its stream, if it is one. At a Gateway's own address a name that none
// of its listeners has is refused.
func (s *sniffer) look(ctx context.Context, conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(headerLimit))
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	name, whole, err := peekName(conn)
	stop()
	if err != nil {
		_ = conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	t := s.router.table.Load()
	l := t.secure(local, *s.router.ports.Load(), hostname(name))
	refused := l == nil && t.owners[local.Addr().Unmap()] != nil
	if !refused && (l == nil || !l.streams) {
		s.pass(whole)
		return
	}
	defer whole.Close()
	if refused {
		return
	}
	route := l.stream(hostname(name))
	if route == nil {
		return
	}
	client := net.Conn(whole)
	if !l.passthrough {
		client = tls.Server(whole, &tls.Config{GetCertificate: s.router.getCertificate})
	}
	s.carry(ctx, client, route)
}

// carry copies between a client and an endpoint until both have ended, or the server does.
func (s *sniffer) carry(ctx context.Context, client net.Conn, route *streamRoute) {
	to := choose(route.backends)
	if to == nil || to.backend == nil {
		return
	}
	pod, err := to.backend.dial(ctx)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close(); _ = pod.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { copyStream(pod, client) })
	copyStream(client, pod)
	both.Wait()
	_, _ = client.Close(), pod.Close()
}

// copyStream copies until from ends, then says so to the other side.
func copyStream(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil && half.CloseWrite() == nil {
		return
	}
	_ = to.Close()
}

// dial connects to an endpoint, the next one if it does not take the connection.
func (b *backend) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialLimit}
	err := errNoEndpoints
	var tried []*endpoint
	for {
		e := b.current.Load().next(b.turn.Add(1), tried)
		if e == nil {
			return nil, err
		}
		var conn net.Conn
		if conn, err = d.DialContext(ctx, "tcp", e.address); err == nil {
			return conn, nil
		}
		tried = append(tried, e)
	}
}

// errPeeked ends a handshake that was begun to read the client's first message.
var errPeeked = errors.New("the client's message has been read")

// peekName reads the name that a client of TLS asks for. The connection that it returns begins with what was read.
func peekName(conn net.Conn) (string, *replayedConn, error) {
	var read bytes.Buffer
	var name string
	peeked := false
	err := tls.Server(readOnlyConn{conn, io.TeeReader(conn, &read)}, &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name, peeked = strings.Clone(hello.ServerName), true
			return nil, errPeeked
		},
	}).Handshake()
	if !peeked {
		return "", nil, err
	}
	return name, &replayedConn{Conn: conn, before: read.Bytes()}, nil
}

// readOnlyConn swallows what is written.
type readOnlyConn struct {
	net.Conn
	from io.Reader
}

// Read is io.Reader's.
func (c readOnlyConn) Read(p []byte) (int, error) { return c.from.Read(p) }

// Write is io.Writer's.
func (c readOnlyConn) Write(p []byte) (int, error) { return len(p), nil }

// replayedConn gives once more what was read of it.
type replayedConn struct {
	net.Conn
	before []byte
}

// Read is io.Reader's.
func (c *replayedConn) Read(p []byte) (int, error) {
	if len(c.before) > 0 {
		n := copy(p, c.before)
		c.before = c.before[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite says that nothing more is sent.
func (c *replayedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
