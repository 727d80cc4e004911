package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// maxReaders bounds the UDP sockets; one per core is enough, and beyond
	// this many cores nobody asks that much of a laptop's DNS.
	maxReaders = 8
	// portTries is how often a free port is looked for that both UDP and TCP
	// can have, when the port is left to us.
	portTries = 16
)

// sockets are what a Server listens on. The kernel spreads UDP clients over
// several sockets of one address (SO_REUSEPORT), each read by one goroutine.
type sockets struct {
	addr netip.AddrPort
	udp  []*net.UDPConn
	tcp  *net.TCPListener
}

// listen binds the address for TCP and UDP.
func listen(address string) (*sockets, error) {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dns: listen on %q: %w", address, err)
	}
	if addr.Addr().IsUnspecified() {
		return nil, fmt.Errorf("dns: listen on %s: name one address of this machine", addr)
	}
	for try := 1; ; try++ {
		s, err := listenOn(addr)
		if err == nil {
			return s, nil
		}
		if addr.Port() != 0 || try == portTries || !errors.Is(err, unix.EADDRINUSE) {
			return nil, explain(addr, err)
		}
	}
}

// listenOn binds TCP first: it has no SO_REUSEPORT, so that a second server on
// the address is noticed instead of sharing its clients.
func listenOn(addr netip.AddrPort) (*sockets, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	s := &sockets{addr: tcp.Addr().(*net.TCPAddr).AddrPort(), tcp: tcp}
	config := net.ListenConfig{Control: reusePort}
	for range min(runtime.GOMAXPROCS(0), maxReaders) {
		conn, err := config.ListenPacket(context.Background(), "udp", s.addr.String())
		if err != nil {
			s.close()
			return nil, err
		}
		s.udp = append(s.udp, conn.(*net.UDPConn))
	}
	return s, nil
}

func reusePort(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return errors.Join(err, failed)
}

// explain says what to do about the errors that users meet.
func explain(addr netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("dns: %w: another DNS server listens there; stop it or bind it to its own addresses", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("dns: %w: %s is no address of this machine", err, addr.Addr())
	}
	return fmt.Errorf("dns: %w", err)
}

// close may be called more than once.
func (s *sockets) close() {
	s.tcp.Close()
	for _, conn := range s.udp {
		conn.Close()
	}
}
