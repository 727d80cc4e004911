package intercept

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// acceptPause is how long accepting rests after an error, which is that of too many open files.
const acceptPause = 100 * time.Millisecond

// streams leads whole connections to the process, or else to a pod.
type streams struct {
	process *process
	pods    *pods
	open    sync.WaitGroup
}

// serve leads what comes until the listener is closed, and returns when no connection is left. ctx cuts those that are.
func (s *streams) serve(ctx context.Context, l net.Listener) {
	defer s.open.Wait()
	for {
		client, err := l.Accept()
		switch {
		case err == nil:
			s.open.Go(func() { s.lead(ctx, client.(*net.TCPConn)) })
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(acceptPause)
		}
	}
}

// lead copies both ways until both sides have said all, or ctx ends. A connection that nobody takes is reset, as if it had
// been refused.
func (s *streams) lead(ctx context.Context, client *net.TCPConn) {
	defer client.Close()
	server, err := s.process.dial(ctx)
	if err != nil {
		server, err = s.pods.dial(ctx)
	}
	if err != nil {
		_ = client.SetLinger(0)
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { reset(client, server.(*net.TCPConn)) })
	defer stop()
	var back sync.WaitGroup
	back.Go(func() { copyHalf(client, server.(*net.TCPConn)) })
	copyHalf(server.(*net.TCPConn), client)
	back.Wait()
}

// copyHalf copies what from says, and that it has said all. One that breaks off breaks the other.
func copyHalf(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		reset(to, from)
		return
	}
	_ = to.CloseWrite()
}

func reset(conns ...*net.TCPConn) {
	for _, c := range conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}
