package runtime

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	v1 "k8s.io/api/core/v1"
)

// hostAddress is the node's address: Options.HostIP, or the machine's own, which is followed as
// networks come and go.
type hostAddress struct {
	fixed    bool
	unwanted bool                // no Pod has addresses of its family
	fallback netip.Addr          // the gateway of the Pods: a laptop may be offline
	routed   func() netip.Addr   // towards the world; the zero Addr: there is no way
	assigned func() []netip.Addr // to this machine's devices
	// watch calls changed whenever an address comes or goes, until ctx ends.
	watch func(ctx context.Context, changed func()) error

	current atomic.Value // a netip.Addr

	mu    sync.Mutex // one looks at a time; guards what follows
	found bool       // the current address is one by which the world was reached
}

func newHostAddress(o Options) *hostAddress {
	h := &hostAddress{
		fixed: o.HostIP.IsValid(), fallback: o.Network.Gateway,
		routed: routedAddress, assigned: assignedAddresses, watch: watchAddresses,
	}
	h.current.Store(o.HostIP)
	h.update()
	return h
}

// newHostAddress6 is that of IPv6.
func newHostAddress6(o Options) *hostAddress {
	h := &hostAddress{
		unwanted: !slices.Contains(o.families(), v1.IPv6Protocol), fixed: o.Added, fallback: o.Network.Gateway6,
		routed: routed6, assigned: assignedAddresses6, watch: watchAddresses6,
	}
	h.current.Store(netip.Addr{})
	if h.fixed && !h.unwanted {
		h.current.Store(o.Network.Address6(o.HostIP))
	}
	h.update()
	return h
}

// get is the address as it was last seen.
func (h *hostAddress) get() netip.Addr { return h.current.Load().(netip.Addr) }

func (h *hostAddress) String() string { return h.get().String() }

// update returns whether the address is another one than before. One that the machine still has is
// kept, though its traffic may take another way by now: others know the node by it.
func (h *hostAddress) update() (changed bool) {
	if h.fixed || h.unwanted {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	was, assigned := h.get(), h.assigned()
	if h.found && slices.Contains(assigned, was) {
		return false
	}
	now := h.routed()
	h.found = now.IsValid()
	if !h.found && slices.Contains(assigned, h.fallback) {
		now = h.fallback
	}
	if !now.IsValid() && len(assigned) > 0 {
		now = assigned[0]
	}
	if !now.IsValid() {
		now = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if h.fallback.Is6() {
			now = netip.IPv6Loopback()
		}
	}
	h.current.Store(now)
	return now != was
}

// routedAddress is the address this machine would use to reach the world.
func routedAddress() netip.Addr {
	return routedTo("udp4", "192.0.2.1:9") // of the range for documentation, RFC 5737
}

func routedTo(network, address string) netip.Addr {
	// Connecting a UDP socket sends nothing; it only picks a route.
	conn, err := net.Dial(network, address)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	own, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	return own.Addr()
}

// assignedAddresses are those of this machine that are neither loopback nor of one link only.
func assignedAddresses() []netip.Addr { return assigned(netip.Addr.Is4) }

func assignedAddresses6() []netip.Addr { return assigned(netip.Addr.Is6) }

func assigned(is func(netip.Addr) bool) (out []netip.Addr) {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && is(prefix.Addr()) && prefix.Addr().IsGlobalUnicast() {
			out = append(out, prefix.Addr())
		}
	}
	return out
}

// watchAddresses hears of IPv4 addresses from the kernel.
func watchAddresses(ctx context.Context, changed func()) error {
	return watchAssigned(ctx, func(ip net.IP) bool { return ip.To4() != nil }, changed)
}

// watchAddresses6 hears of those of IPv6 that have to do with the world.
func watchAddresses6(ctx context.Context, changed func()) error {
	return watchAssigned(ctx, func(ip net.IP) bool { return ip.To4() == nil && ip.IsGlobalUnicast() }, changed)
}

func watchAssigned(ctx context.Context, is func(net.IP) bool, changed func()) error {
	updates := make(chan netlink.AddrUpdate)
	var failed error
	err := netlink.AddrSubscribeWithOptions(updates, ctx.Done(), netlink.AddrSubscribeOptions{ErrorCallback: func(err error) { failed = err }})
	if err != nil {
		return fmt.Errorf("subscribe to this machine's addresses: %w", err)
	}
	for update := range updates { // closed when ctx ends, after failed is written
		if is(update.LinkAddress.IP) {
			changed()
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return failed
}

// hostAddressRetry is the pause before the kernel is asked again to tell of addresses. The node's
// heartbeat looks as well.
const hostAddressRetry = 10 * time.Second

// followHostAddress looks at the node's address whenever one comes or goes.
func (a *Agent) followHostAddress(ctx context.Context, host *hostAddress) error {
	if host.fixed || host.unwanted {
		return nil
	}
	for ctx.Err() == nil {
		if err := host.watch(ctx, func() { a.updateHostAddress() }); err != nil && ctx.Err() == nil {
			a.log.Debug("the kernel does not tell of addresses", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(hostAddressRetry):
		}
	}
	return nil
}

// updateHostAddress has the Node and its Pods tell of another address if there is one.
func (a *Agent) updateHostAddress() {
	changed, changed6 := a.host.update(), a.host6.update()
	if !changed && !changed6 {
		return
	}
	a.log.Info("the node has another address", "address", a.hostIPs())
	a.node.Check()
	a.enqueueAll()
}
