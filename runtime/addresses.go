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
	pods    netip.Prefix          // the part of the network that is the node's Pods'
	own     netip.Addr            // of the node itself, if it is in that part
	taken   func(netip.Addr) bool // by a sandbox that there is
	newest  func() netip.Addr     // that of the newest sandbox

	mu       sync.Mutex          // guards what follows
	last     netip.Addr          // the zero Addr: none was given yet
	promised map[netip.Addr]bool // to sandboxes that are being created
}

func newAddresses(o Options, taken func(netip.Addr) bool, newest func() netip.Addr) *addresses {
	return &addresses{network: o.Network, pods: o.PodRange, own: o.HostIP, taken: taken, newest: newest, promised: map[netip.Addr]bool{}}
}

// take returns a free address, in turn, so that one which was given up is not used again at
// once. The caller calls settled when the sandbox is there, or is not to be.
func (a *addresses) take() (addr netip.Addr, settled func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.last.IsValid() {
		a.last = a.newest() // where an earlier daemon was
	}
	addr = a.last
	for range 1 << (32 - a.pods.Bits()) {
		addr = a.after(addr)
		if a.promised[addr] || a.taken(addr) || addr == a.own {
			continue
		}
		a.last, a.promised[addr] = addr, true
		return addr, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.promised, addr)
		}, nil
	}
	return netip.Addr{}, nil, fmt.Errorf("no address of %s is free outside of %s, which is Docker's", a.pods, a.network.EngineRange())
}

// after is the next address of the Pods' part, in a circle that leaves out its first two, which are the part's own name and the
// gateway or the node, and those that Docker gives.
func (a *addresses) after(addr netip.Addr) netip.Addr {
	if addr = addr.Next(); !a.pods.Contains(addr) || a.network.EngineRange().Contains(addr) {
		return a.pods.Masked().Addr().Next().Next()
	}
	return addr
}
