package apiserver

import (
	"errors"
	"net"
	"sync"
)

// joined accepts from several listeners as if they were one: the generic
// server knows only one.
type joined struct {
	listeners []net.Listener
	accepted  chan net.Conn
	failed    chan error
	closed    chan struct{}
	close     sync.Once
	accepting sync.WaitGroup
}

func joinListeners(listeners []net.Listener) *joined {
	j := &joined{
		listeners: listeners,
		accepted:  make(chan net.Conn),
		failed:    make(chan error, len(listeners)),
		closed:    make(chan struct{}),
	}
	for _, l := range listeners {
		j.accepting.Go(func() { j.accept(l) })
	}
	return j
}

func (j *joined) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			j.failed <- err
			return
		}
		select {
		case j.accepted <- conn:
		case <-j.closed:
			_ = conn.Close()
		}
	}
}

// Accept returns the next connection of any listener.
func (j *joined) Accept() (net.Conn, error) {
	select {
	case conn := <-j.accepted:
		return conn, nil
	case err := <-j.failed:
		return nil, err
	case <-j.closed:
		return nil, net.ErrClosed
	}
}

// Close closes every listener and waits until none accepts.
func (j *joined) Close() error {
	var errs []error
	j.close.Do(func() {
		close(j.closed)
		for _, l := range j.listeners {
			errs = append(errs, l.Close())
		}
		j.accepting.Wait()
	})
	return errors.Join(errs...)
}

// Addr is the first listener's address.
func (j *joined) Addr() net.Addr { return j.listeners[0].Addr() }
