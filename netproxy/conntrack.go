package netproxy

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// udpFlows knows where UDP to Services goes. conntrack keeps sending a client that never pauses to the endpoint
// that it had, also when that is gone, and past a Service that had no endpoint when the client began.
type udpFlows struct {
	serviceCIDR netip.Prefix
	services    map[netip.AddrPort]endpointSet // by ClusterIP, externalIP or load balancer's
	nodePorts   map[uint16]endpointSet
	hostPorts   map[netip.AddrPort]endpointSet // the zero Addr: every address of this machine
}

type endpointSet map[netip.AddrPort]bool

func newUDPFlows(serviceCIDR netip.Prefix) udpFlows {
	return udpFlows{serviceCIDR, map[netip.AddrPort]endpointSet{}, map[uint16]endpointSet{}, map[netip.AddrPort]endpointSet{}}
}

// addPorts notes where UDP to these goes. It returns whether there is any.
func (f udpFlows) addPorts(ports []servicePort) (any bool) {
	for i := range ports {
		sp := &ports[i]
		if sp.Protocol != corev1.ProtocolUDP {
			continue
		}
		any = true
		f.services[netip.AddrPortFrom(sp.ClusterIP, sp.Port)] = setOf(sp.inside())
		for _, ip := range slices.Concat(sp.ExternalIPs, sp.LoadBalancerIPs) {
			f.services[netip.AddrPortFrom(ip, sp.Port)] = setOf(sp.External)
		}
		if sp.NodePort != 0 {
			f.nodePorts[sp.NodePort] = setOf(sp.External)
		}
	}
	return any
}

// addHosts is the same for ports of this machine.
func (f udpFlows) addHosts(hosts []hostPort) (any bool) {
	for _, h := range hosts {
		if h.Protocol == corev1.ProtocolUDP {
			any = true
			f.hostPorts[netip.AddrPortFrom(h.HostIP, h.Port)] = setOf([]netip.AddrPort{h.To})
		}
	}
	return any
}

// remove forgets everything that other has.
func (f udpFlows) remove(other udpFlows) {
	for at := range other.services {
		delete(f.services, at)
	}
	for port := range other.nodePorts {
		delete(f.nodePorts, port)
	}
	for at := range other.hostPorts {
		delete(f.hostPorts, at)
	}
}

func setOf(eps []netip.AddrPort) endpointSet {
	set := make(endpointSet, len(eps))
	for _, ep := range eps {
		set[ep] = true
	}
	return set
}

// staleFlows matches the UDP flows that do not go where now says.
type staleFlows struct {
	now, before udpFlows
	local       map[netip.Addr]bool // this machine's addresses
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (s staleFlows) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	dst, ok := netip.AddrFromSlice(flow.Forward.DstIP)
	src, ok2 := netip.AddrFromSlice(flow.Reverse.SrcIP)
	if !ok || !ok2 {
		return false
	}
	asked := netip.AddrPortFrom(dst.Unmap(), flow.Forward.DstPort)
	answers := netip.AddrPortFrom(src.Unmap(), flow.Reverse.SrcPort)
	if eps, ok := s.now.services[asked]; ok {
		return !eps[answers]
	}
	if _, was := s.before.services[asked]; was || s.now.serviceCIDR.Contains(asked.Addr()) {
		return true
	}
	if !s.local[asked.Addr()] {
		return false
	}
	if eps, ok := s.now.atHost(asked); ok {
		return !eps[answers]
	}
	_, was := s.before.atHost(asked)
	return was
}

// atHost is who answers at an address of this machine.
func (f udpFlows) atHost(asked netip.AddrPort) (endpointSet, bool) {
	if eps, ok := f.nodePorts[asked.Port()]; ok {
		return eps, true
	}
	if eps, ok := f.hostPorts[asked]; ok {
		return eps, true
	}
	eps, ok := f.hostPorts[netip.AddrPortFrom(netip.Addr{}, asked.Port())]
	return eps, ok
}

// flows are the connections of one IP family that lead somewhere, and what changed since the kernel was last made to forget others.
type flows struct {
	udp        udpFlows
	before     udpFlows // what of udp is gone
	udpChanged bool
	targets    map[target]int // how often each is a target
	lost       targets
}

func newFlows(serviceCIDR netip.Prefix) *flows {
	return &flows{newUDPFlows(serviceCIDR), newUDPFlows(serviceCIDR), false, map[target]int{}, targets{}}
}

// replacePorts notes that a Service has other ports or endpoints now.
func (f *flows) replacePorts(old, now []servicePort) {
	gone := newUDPFlows(f.udp.serviceCIDR)
	if gone.addPorts(old) {
		f.udp.remove(gone)
		f.before.addPorts(old)
		f.udpChanged = true
	}
	f.udpChanged = f.udp.addPorts(now) || f.udpChanged
}

// replaceHosts notes that other ports of this machine lead to Pods now.
func (f *flows) replaceHosts(old, now []hostPort) {
	gone := newUDPFlows(f.udp.serviceCIDR)
	if gone.addHosts(old) {
		f.udp.remove(gone)
		f.before.addHosts(old)
		f.udpChanged = true
	}
	f.udpChanged = f.udp.addHosts(now) || f.udpChanged
	f.retarget(targetsOf(nil, old), targetsOf(nil, now))
}

// retarget notes that something leads to other targets now.
func (f *flows) retarget(old, now targets) {
	for to := range now {
		f.targets[to]++
		delete(f.lost, to)
	}
	for to := range old {
		if f.targets[to]--; f.targets[to] == 0 {
			delete(f.targets, to)
			f.lost[to] = true
		}
	}
}

// forgetStale has the kernel forget flows that point at what is gone, so that their next packet is translated anew. It
// reads the whole conntrack table, and therefore does so only when something about UDP changed, or an endpoint of another
// protocol is lost.
func (f *flows) forgetStale() (forgotten uint, err error) {
	var filters []netlink.CustomConntrackFilter
	if len(f.lost) > 0 {
		filters = append(filters, lostConnections{f.lost})
	}
	if f.udpChanged {
		local, err := localAddresses(f.family())
		if err != nil {
			return 0, err
		}
		filters = append(filters, staleFlows{f.udp, f.before, local})
	}
	if len(filters) == 0 {
		return 0, nil
	}
	if forgotten, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.InetFamily(f.family().netlink()), filters...); err != nil {
		return forgotten, fmt.Errorf("removing stale flows from conntrack: %w", err)
	}
	return forgotten, nil
}

// forgotten notes that this is done, or that it cannot be.
func (f *flows) forgotten() {
	f.before, f.udpChanged, f.lost = newUDPFlows(f.udp.serviceCIDR), false, targets{}
}

// family is that of all flows.
func (f *flows) family() family { return family{f.udp.serviceCIDR.Addr().Is6()} }

// localAddresses are this machine's.
func localAddresses(f family) (map[netip.Addr]bool, error) {
	local := map[netip.Addr]bool{}
	addrs, err := netlink.AddrList(nil, f.netlink())
	if err != nil {
		return nil, fmt.Errorf("listing this machine's addresses: %w", err)
	}
	for _, a := range addrs {
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			local[addr.Unmap()] = true
		}
	}
	return local, nil
}
