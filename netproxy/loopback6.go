package netproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// udpIdle is how long after the last datagram a client of UDP may still be answered.
	udpIdle = 30 * time.Second
	// maxUDPClients bounds the sockets for them. Beyond it datagrams are dropped.
	maxUDPClients = 1000
	// acceptPause is how long after a failure the next connection is taken.
	acceptPause = 10 * time.Millisecond
	// maxDatagram is the largest that UDP has.
	maxDatagram = 1 << 16
)

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// A forwarder answers at [::1], where localhost leads first: what comes it takes to the same port of 127.0.0.1, since no
// rule can translate an address of one family to one of the other; or to where the Service answers by IPv6, since no rule
// can translate what goes to [::1] at all. It also holds the port.
type forwarder struct {
	to  string
	ctx context.Context
	end context.CancelFunc

	mu   sync.Mutex         // guards open
	open map[io.Closer]bool // everything that Close closes
	all  sync.WaitGroup
}

// openForwarder is openNodePort for [::1].
func openForwarder(n nodePort) (io.Closer, error) {
	f := &forwarder{to: n.to.String(), open: map[io.Closer]bool{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	at := netip.AddrPortFrom(n.addr, n.port)
	switch n.protocol {
	case corev1.ProtocolTCP:
		listener, err := net.ListenTCP("tcp6", net.TCPAddrFromAddrPort(at))
		if err != nil {
			return nil, err
		}
		f.run(func() { f.accept(listener) }, listener)
	case corev1.ProtocolUDP:
		socket, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(at))
		if err != nil {
			return nil, err
		}
		f.run(func() { f.receive(socket) }, socket)
	default:
		return io.NopCloser(nil), nil
	}
	return f, nil
}

// Close ends all connections, and waits until nothing is left of them.
func (f *forwarder) Close() error {
	f.mu.Lock()
	f.end()
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.all.Wait()
	return nil
}

// run calls do in a goroutine of its own, and closes what it uses afterwards or when the forwarder is closed. It does not
// when the forwarder is closed already.
func (f *forwarder) run(do func(), uses io.Closer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		_ = uses.Close()
		return false
	}
	f.open[uses] = true
	f.all.Go(func() {
		do()
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = uses.Close()
		delete(f.open, uses)
	})
	return true
}

// accept takes connections to where they belong until the listener is closed.
func (f *forwarder) accept(listener *net.TCPListener) {
	for {
		client, err := listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, say
			time.Sleep(acceptPause)
			continue
		}
		f.run(func() { f.forward(client) }, client)
	}
}

// forward copies both ways until both sides have said all. A server that is not there has the client's connection reset,
// as it would be at 127.0.0.1.
func (f *forwarder) forward(client *net.TCPConn) {
	var dialer net.Dialer
	server, err := dialer.DialContext(f.ctx, "tcp", f.to)
	if err != nil {
		_ = client.SetLinger(0)
		return
	}
	done := make(chan struct{})
	back := f.run(func() {
		defer close(done)
		copyHalf(client, server.(*net.TCPConn))
	}, server)
	if !back {
		return
	}
	copyHalf(server.(*net.TCPConn), client)
	<-done
}

// copyHalf copies what from says, and that it has said all. One that breaks off breaks the other.
func copyHalf(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil && !errors.Is(err, net.ErrClosed) {
		_ = to.SetLinger(0)
		_ = to.Close()
		_ = from.SetLinger(0)
		_ = from.Close()
		return
	}
	_ = to.CloseWrite()
}

// receive takes each client's datagrams to the server from a socket of its own, by which its answers are known.
func (f *forwarder) receive(socket *net.UDPConn) {
	clients := map[netip.AddrPort]*net.UDPConn{}
	var mu sync.Mutex // guards clients
	buffer := make([]byte, maxDatagram)
	for {
		n, client, err := socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		mu.Lock()
		server, full := clients[client], len(clients) >= maxUDPClients
		mu.Unlock()
		if server == nil && full {
			continue
		}
		if server == nil {
			dialed, err := net.Dial("udp", f.to)
			if err != nil {
				continue
			}
			server = dialed.(*net.UDPConn)
			mu.Lock()
			clients[client] = server
			mu.Unlock()
			f.run(func() {
				answer(socket, client, server)
				mu.Lock()
				delete(clients, client)
				mu.Unlock()
			}, server)
		}
		_ = server.SetReadDeadline(time.Now().Add(udpIdle))
		_, _ = server.Write(buffer[:n]) // refused: UDP promises nothing
	}
}

// answer takes the server's datagrams to a client until there are none for a while.
func answer(socket *net.UDPConn, client netip.AddrPort, server *net.UDPConn) {
	buffer := make([]byte, maxDatagram)
	for {
		n, err := server.Read(buffer)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return
		}
		_ = server.SetReadDeadline(time.Now().Add(udpIdle))
		_, _ = socket.WriteToUDPAddrPort(buffer[:n], client)
	}
}
