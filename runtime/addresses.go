package runtime

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// addresses gives each sandbox its address. Which ones are taken the sandboxes say: they
// carry theirs as a label, which outlives the daemon.
type addresses struct {
	network docker.NetworkSpec
	taken   func() map[netip.Addr]bool // by the sandboxes that there are

	mu       sync.Mutex // guards what follows
	last     netip.Addr
	promised map[netip.Addr]bool // to sandboxes that are being created
}

func newAddresses(network docker.NetworkSpec, taken func() map[netip.Addr]bool) *addresses {
	return &addresses{network: network, taken: taken, last: network.Gateway, promised: map[netip.Addr]bool{}}
}

// take returns a free address, in turn, so that one which was given up is not used again at
// once. The caller calls settled when the sandbox is there, or is not to be.
func (a *addresses) take() (addr netip.Addr, settled func(), err error) {
	taken := a.taken()
	a.mu.Lock()
	defer a.mu.Unlock()
	addr = a.last
	for range 1 << (32 - a.network.Subnet.Bits()) {
		addr = a.after(addr)
		if taken[addr] || a.promised[addr] {
			continue
		}
		a.last, a.promised[addr] = addr, true
		return addr, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.promised, addr)
		}, nil
	}
	return netip.Addr{}, nil, fmt.Errorf("no address of %s is free", a.network.Subnet)
}

// after is the next address, in a circle from the gateway's on to those that Docker gives.
func (a *addresses) after(addr netip.Addr) netip.Addr {
	if addr = addr.Next(); a.network.EngineRange().Contains(addr) {
		return a.network.Gateway.Next()
	}
	return addr
}

// addresses are those of all sandboxes, dead ones too.
func (m *mirror) addresses() map[netip.Addr]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[netip.Addr]bool{}
	for _, e := range m.containers {
		if e.address.IsValid() {
			out[e.address] = true
		}
	}
	return out
}
