package streaming

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

// upgradable gives the connection of a request away with both ends of it watched:
// once it is taken over, net/http no longer ends the request's context when the
// client is gone, nor closes the connection when the context ends.
//
// It must not have an Unwrap method: the streaming packages would go around it.
type upgradable struct {
	http.ResponseWriter
	ctx  context.Context
	gone context.CancelCauseFunc
}

// upgrade prepares a request for being taken over. The request that it returns has
// the context of the connection; stop ends that.
func upgrade(w http.ResponseWriter, r *http.Request) (_ http.ResponseWriter, _ *http.Request, stop func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	return &upgradable{w, ctx, cancel}, r.WithContext(ctx), func() { cancel(nil) }
}

// Hijack implements http.Hijacker.
func (u *upgradable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	context.AfterFunc(u.ctx, func() { raw.Close() })
	conn := &watchedConn{raw, u.gone}
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	read := bufio.NewReader(conn)
	if len(early) > 0 {
		read = bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn))
	}
	return conn, bufio.NewReadWriter(read, bufio.NewWriter(conn)), nil
}

// watchedConn tells when the peer is gone. Its reader must always read on, as those
// of SPDY and WebSocket do.
type watchedConn struct {
	net.Conn
	gone context.CancelCauseFunc
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.gone(errClientGone)
	}
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF // we closed it ourselves: nothing to complain about
	}
	return n, err
}

func (c *watchedConn) Close() error {
	c.gone(errClientGone)
	return c.Conn.Close()
}
