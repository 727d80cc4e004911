package intercept

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	// redirectLimit is how long the kernel's rules may take to follow.
	redirectLimit = 20 * time.Second
	// handshakeGrace is how long connections are still taken that were under way when the rules changed.
	handshakeGrace = 100 * time.Millisecond
)

// server takes the connections of a listener.
type server interface {
	// serve returns when the listener is closed and what came by it has ended. ctx cuts that.
	serve(ctx context.Context, l net.Listener)
}

// session is one intercept, from when it is asked for until no new connection comes.
type session struct {
	room      *Room
	intercept Intercept
	process   *process
	pods      *pods
	listeners []*net.TCPListener
}

func (r *Room) newSession(i Intercept) *session {
	return &session{room: r, intercept: i, process: newProcess(i.To), pods: &pods{}}
}

// run redirects, tells where connections go whenever that changes, and restores when ctx ends. Connections that exist then go
// on, and belong to the room. Its error is of what was never in force.
func (s *session) run(ctx context.Context, tell func(Event) error) error {
	if err := s.listen(); err != nil {
		return err
	}
	defer s.endListeners()
	if conn, err := s.process.dial(ctx); err == nil { // the first event says whether anybody is there
		_ = conn.Close()
	}
	if err := s.redirect(ctx); err != nil {
		return err
	}
	defer s.restore(ctx)
	first := s.process.state()
	first.Intercept, first.ResolvConf = &s.intercept, s.room.resolvConf(s.intercept.Namespace)
	for last, event := State(""), first; ; event = s.process.state() {
		if event.State != last && tell(event) != nil {
			return nil
		}
		last = event.State
		select {
		case <-ctx.Done():
			return nil
		case <-s.process.changed:
		}
	}
}

// listen opens a port on the bridge for each IP family, and has somebody take what comes.
func (s *session) listen() error {
	headers, err := parseHeaders(s.intercept.Headers)
	if err != nil {
		return err
	}
	for _, address := range s.room.opts.Addresses {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(address, 0)))
		if err != nil {
			s.endListeners()
			return fmt.Errorf("listen for what is intercepted: %w", err)
		}
		s.listeners = append(s.listeners, l)
		var serving server = &streams{process: s.process, pods: s.pods}
		if len(headers) > 0 {
			serving = newRequests(headers, s.process, s.pods, s.room.log)
		}
		s.room.connections.Go(func() { serving.serve(s.room.cut, l) })
	}
	return nil
}

// endListeners takes what is on its way here, then nothing more.
func (s *session) endListeners() {
	s.room.connections.Go(func() {
		select {
		case <-time.After(handshakeGrace):
		case <-s.room.cut.Done():
		}
		for _, l := range s.listeners {
			_ = l.Close()
		}
	})
}

func (s *session) redirect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redirectLimit)
	defer cancel()
	var to []netip.AddrPort
	for _, l := range s.listeners {
		to = append(to, l.Addr().(*net.TCPAddr).AddrPort())
	}
	if err := s.room.redirector.Redirect(ctx, s.intercept.port(), to, s.pods.set); err != nil {
		return errors.Join(err, s.restore(ctx))
	}
	return nil
}

// restore leads new connections to the pods, also when ctx has ended.
func (s *session) restore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redirectLimit)
	defer cancel()
	err := s.room.redirector.Restore(ctx, s.intercept.port())
	if err != nil {
		s.room.log.Error("an intercept has ended, but its traffic may not have returned to the pods", "of", s.intercept.String(), "err", err)
	}
	return err
}
