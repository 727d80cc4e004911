package runtime

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// addresses gives each sandbox its address. Which ones are taken the sandboxes say: they
// carry theirs as a label, which outlives the daemon.
type addresses struct {
	network docker.NetworkSpec
	taken   func() (taken map[netip.Addr]bool, newest netip.Addr) // by the sandboxes that there are

	mu       sync.Mutex          // guards what follows
	last     netip.Addr          // the zero Addr: none was given yet
	promised map[netip.Addr]bool // to sandboxes that are being created
}

func newAddresses(network docker.NetworkSpec, taken func() (map[netip.Addr]bool, netip.Addr)) *addresses {
	return &addresses{network: network, taken: taken, promised: map[netip.Addr]bool{}}
}

// take returns a free address, in turn, so that one which was given up is not used again at
// once. The caller calls settled when the sandbox is there, or is not to be.
func (a *addresses) take() (addr netip.Addr, settled func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken, newest := a.taken()
	if !a.last.IsValid() {
		a.last = newest // where an earlier daemon was
	}
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
	return netip.Addr{}, nil, fmt.Errorf("no address of %s is free outside of %s, which is Docker's", a.network.Subnet, a.network.EngineRange())
}

// after is the next address, in a circle from the gateway's on to those that Docker gives.
func (a *addresses) after(addr netip.Addr) netip.Addr {
	if addr = addr.Next(); !a.network.Subnet.Contains(addr) || a.network.EngineRange().Contains(addr) {
		return a.network.Gateway.Next()
	}
	return addr
}

// addresses are those of all sandboxes, dead ones too, and that of the newest.
func (m *mirror) addresses() (taken map[netip.Addr]bool, newest netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken = map[netip.Addr]bool{}
	var made time.Time
	for _, e := range m.containers {
		if !e.address.IsValid() {
			continue
		}
		taken[e.address] = true
		if !newest.IsValid() || e.Created.After(made) {
			made, newest = e.Created, e.address
		}
	}
	return taken, newest
}
