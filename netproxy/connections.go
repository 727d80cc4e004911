package netproxy

import (
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// target is where a connection of TCP or SCTP may end: at an endpoint of a Service, however it is, or at a Pod's hostPort.
// One that is on its way out still serves the connections that it has.
type target struct {
	protocol uint8
	at       netip.AddrPort
}

// targets are those of now.
type targets map[target]bool

// connectionProtocols are the protocols whose clients would wait for minutes for an endpoint that is gone, by their
// numbers. Those of UDP are moved to other endpoints, see udpFlows.
var connectionProtocols = map[corev1.Protocol]uint8{corev1.ProtocolTCP: unix.IPPROTO_TCP, corev1.ProtocolSCTP: unix.IPPROTO_SCTP}

func targetsOf(eps []*discoveryv1.EndpointSlice, hosts []hostPort) targets {
	all := targets{}
	for _, slice := range eps {
		for _, p := range slice.Ports {
			protocol, ok := connectionProtocols[ptr.Deref(p.Protocol, corev1.ProtocolTCP)]
			if !ok || p.Port == nil {
				continue
			}
			for _, ep := range slice.Endpoints {
				for _, text := range ep.Addresses {
					if addr, err := netip.ParseAddr(text); err == nil {
						all[target{protocol, netip.AddrPortFrom(addr, uint16(*p.Port))}] = true
					}
				}
			}
		}
	}
	for _, h := range hosts {
		if protocol, ok := connectionProtocols[h.Protocol]; ok && h.To.IsValid() {
			all[target{protocol, h.To}] = true
		}
	}
	return all
}

// lostConnections matches the connections that were translated to a target that is gone. Forgotten, their next packet
// goes to whom the rules say now, who knows of no such connection and resets it, so that the client can connect anew.
type lostConnections struct{ to targets }

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (l lostConnections) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	answers, ok := netip.AddrFromSlice(flow.Reverse.SrcIP)
	if !ok || !l.to[target{flow.Forward.Protocol, netip.AddrPortFrom(answers.Unmap(), flow.Reverse.SrcPort)}] {
		return false
	}
	return !flow.Forward.DstIP.Equal(flow.Reverse.SrcIP) || flow.Forward.DstPort != flow.Reverse.SrcPort
}
