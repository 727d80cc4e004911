package netproxy

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// nodePort is one port of this machine.
type nodePort struct {
	protocol corev1.Protocol
	port     uint16
	addr     netip.Addr     // the zero Addr: every address of this machine
	to       netip.AddrPort // where a forwarder takes what comes; the zero AddrPort: there is none
}

func (n nodePort) String() string {
	if n.addr.IsValid() {
		return fmt.Sprintf("%s/%s", netip.AddrPortFrom(n.addr, n.port), n.protocol)
	}
	return fmt.Sprintf("%d/%s", n.port, n.protocol)
}

// at is where the port's socket is bound.
func (n nodePort) at() unix.Sockaddr {
	switch {
	case n.addr.Is6():
		return &unix.SockaddrInet6{Port: int(n.port), Addr: n.addr.As16()}
	case n.addr.Is4():
		return &unix.SockaddrInet4{Port: int(n.port), Addr: n.addr.As4()}
	}
	return &unix.SockaddrInet4{Port: int(n.port)}
}

// reservations holds every NodePort, hostPort and load balancer's port with a socket, so that a process that has the port already is found out
// instead of being cut off from its clients, and one that wants it later is told that it is in use.
type reservations struct {
	open  func(nodePort) (io.Closer, error)
	held  map[nodePort]io.Closer
	taken map[nodePort]error // those that could not be held the last time, each with the reason
}

// reserve holds exactly the ports in want, and returns those that it cannot hold, each with the reason.
func (r *reservations) reserve(want map[nodePort]bool) map[nodePort]error {
	for n, socket := range r.held {
		if !want[n] {
			socket.Close()
			delete(r.held, n)
		}
	}
	taken := map[nodePort]error{}
	r.taken = taken
	for n := range want {
		if _, ok := r.held[n]; ok {
			continue
		}
		giveBack := r.lend(n)
		socket, err := r.open(n)
		giveBack()
		if err != nil {
			taken[n] = err
			continue
		}
		r.held[n] = socket
	}
	return taken
}

// lend lets a socket be bound beside those that hold the same port at other addresses, as a load balancer's at 127.0.0.1
// beside a hostPort at every address, until the function that it returns is called.
func (r *reservations) lend(n nodePort) (giveBack func()) {
	var beside []*os.File
	for other, socket := range r.held {
		if f, ok := socket.(*os.File); ok && other.protocol == n.protocol && other.port == n.port {
			beside = append(beside, f)
		}
	}
	shared := func(on int) {
		for _, f := range beside {
			_ = unix.SetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_REUSEADDR, on) // never fails
		}
	}
	shared(1)
	return func() { shared(0) }
}

// openNodePort takes a port, so that nobody else does. The socket never gets to see a packet: the rules translate what they
// serve; the rest TCP refuses, because the socket does not listen, and UDP drops.
func openNodePort(n nodePort) (io.Closer, error) {
	kind := unix.SOCK_STREAM
	switch n.protocol {
	case corev1.ProtocolUDP:
		kind = unix.SOCK_DGRAM
	case corev1.ProtocolTCP:
	default: // SCTP: the kernel may not have it, and hardly anybody uses it
		return io.NopCloser(nil), nil
	}
	fd, err := unix.Socket(family{n.addr.Is6()}.socket(), kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("making a socket for port %s: %w", n, err)
	}
	socket := os.NewFile(uintptr(fd), "nodeport "+n.String())
	if err := bindNodePort(fd, n); err != nil {
		socket.Close()
		return nil, fmt.Errorf("taking port %s: %w", n, err)
	}
	return socket, nil
}

func bindNodePort(fd int, n nodePort) error {
	if n.protocol == corev1.ProtocolUDP {
		drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]}); err != nil {
			return err
		}
	}
	// Reuse gets past connections of an earlier owner that the kernel still remembers, and past our own sockets (see
	// lend); taken back afterwards, so that nobody else gets past us.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, n.at()); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
}

// balancedAt is the port at an address of its load balancer.
func (sp *servicePort) balancedAt(ip netip.Addr) nodePort {
	return nodePort{protocol: sp.Protocol, port: sp.Port, addr: ip}
}

// balancedTaken tells why the port at an address of its load balancer cannot be had. At an address that this machine does
// not have no program here can have it either.
func (sp *servicePort) balancedTaken(ip netip.Addr, taken map[nodePort]error) error {
	err := taken[sp.balancedAt(ip)]
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return nil
	}
	return err
}

// nodePortTaken tells why the NodePort cannot be had.
func (sp *servicePort) nodePortTaken(taken map[nodePort]error) error {
	return taken[nodePort{protocol: sp.Protocol, port: sp.NodePort}]
}

// withoutTaken are the ports but for what could not be held.
func withoutTaken(ports []servicePort, taken map[nodePort]error) []servicePort {
	if len(taken) == 0 {
		return ports
	}
	ports = slices.Clone(ports)
	for i := range ports {
		sp := &ports[i]
		if sp.nodePortTaken(taken) != nil {
			sp.NodePort = 0
		}
		lost := func(ip netip.Addr) bool { return sp.balancedTaken(ip, taken) != nil }
		if slices.ContainsFunc(sp.LoadBalancerIPs, lost) {
			sp.LoadBalancerIPs = slices.DeleteFunc(slices.Clone(sp.LoadBalancerIPs), lost)
		}
	}
	return ports
}

// takenMessage is what the event says: which port, who has it as far as /proc tells, and what comes of it.
func takenMessage(what string, n nodePort, err error, unaffected string) string {
	who := err.Error()
	if owner := portOwner("/proc", n); owner != "" {
		who = owner + " has it"
	}
	return fmt.Sprintf("%s %s is not served: %s. It will be as soon as the port is free; %s is not affected.",
		what, n, strings.TrimSuffix(who, "."), unaffected)
}
