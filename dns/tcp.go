package dns

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// maxTCPConns is how many clients may be connected; one more pushes out
	// the one that was silent for longest (RFC 7766 section 6.2.3 allows it),
	// so that slow clients never lock out others.
	maxTCPConns = 128
	// tcpIdle is how long a client may take for its next query, all of it:
	// sending it byte by byte gains no time. RFC 7766 suggests seconds.
	tcpIdle = 8 * time.Second
	// tcpWrite is how long a client may take to accept a reply.
	tcpWrite = 4 * time.Second
)

// clients are the TCP connections that are open.
type clients struct {
	sync.Mutex
	open map[net.Conn]time.Time // since when each is silent; guarded by Mutex
	done sync.WaitGroup
}

// serveTCP accepts until ctx ends and the last connection is closed.
func (s *Server) serveTCP(ctx context.Context, listener *net.TCPListener) error {
	all := &clients{open: map[net.Conn]time.Time{}}
	defer all.done.Wait()
	defer context.AfterFunc(ctx, all.closeAll)()
	for failures := 0; ; {
		conn, err := listener.Accept()
		if err != nil {
			failures++
			if done, err := retry(ctx, err, failures); done {
				return err
			}
			continue
		}
		failures = 0
		all.add(conn)
		all.done.Go(func() {
			defer all.remove(conn)
			s.serveConn(ctx, conn, all)
		})
		if ctx.Err() != nil {
			conn.Close() // it may have come after closeAll
		}
	}
}

// serveConn answers the queries of one client, one after the other.
func (s *Server) serveConn(ctx context.Context, conn net.Conn, all *clients) {
	var length [2]byte
	for {
		all.touch(conn)
		conn.SetReadDeadline(time.Now().Add(s.tcpIdle))
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		all.touch(conn)
		reply := s.answerTCP(ctx, packet)
		if reply == nil {
			return
		}
		conn.SetWriteDeadline(time.Now().Add(tcpWrite))
		framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reply)), uint16(len(reply)))
		if _, err := conn.Write(append(framed, reply...)); err != nil {
			return
		}
	}
}

// answerTCP answers one query, upstream included. Nil: close the connection.
func (s *Server) answerTCP(ctx context.Context, packet []byte) []byte {
	reply, open := s.begin(packet, nil, true)
	if open == nil || reply != nil { // who asks by UDP has it renewed
		return reply
	}
	if !s.forward.enter() {
		return open.failure()
	}
	defer s.forward.leave()
	s.finish(ctx, open, func(packed []byte) { reply = packed })
	return reply
}

// add takes a connection in, at the cost of the longest silent one if need be.
func (c *clients) add(conn net.Conn) {
	c.Lock()
	defer c.Unlock()
	if len(c.open) >= maxTCPConns {
		var oldest net.Conn
		for other, since := range c.open {
			if oldest == nil || since.Before(c.open[oldest]) {
				oldest = other
			}
		}
		oldest.Close()
		delete(c.open, oldest)
	}
	c.open[conn] = time.Now()
}

func (c *clients) touch(conn net.Conn) {
	c.Lock()
	defer c.Unlock()
	if _, ok := c.open[conn]; ok {
		c.open[conn] = time.Now()
	}
}

func (c *clients) remove(conn net.Conn) {
	c.Lock()
	defer c.Unlock()
	delete(c.open, conn)
	conn.Close()
}

func (c *clients) closeAll() {
	c.Lock()
	defer c.Unlock()
	for conn := range c.open {
		conn.Close()
	}
}
