package netproxy

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

func TestWhichFlowsAreStale(t *testing.T) {
	cidr := testSettings().serviceCIDR
	f := newFlows(cidr)
	f.replacePorts(nil, []servicePort{{Protocol: "UDP", ClusterIP: netip.MustParseAddr("192.0.2.1"), Port: 9, NodePort: 30009}})
	f.replaceHosts(nil, hostSnapshot([]*corev1.Pod{pod("gone", podB, "9070/UDP")}, oneNode("n1"), ipv4))
	f.forgotten()
	f.replacePorts([]servicePort{{Protocol: "UDP", ClusterIP: netip.MustParseAddr("192.0.2.1"), Port: 9, NodePort: 30009}}, nil)
	f.replaceHosts(hostSnapshot([]*corev1.Pod{pod("gone", podB, "9070/UDP")}, oneNode("n1"), ipv4),
		hostSnapshot([]*corev1.Pod{pod("p", podA, "9080/UDP", "127.0.0.1:9081/UDP")}, oneNode("n1"), ipv4))
	f.replacePorts(nil, only("dns"))
	filter := staleFlows{now: f.udp, before: f.before, local: map[netip.Addr]bool{netip.MustParseAddr("127.0.0.1"): true, netip.MustParseAddr("127.0.0.2"): true}}
	for _, c := range []struct {
		says       string
		protocol   uint8
		to, answer string
		stale      bool
	}{
		{"to an endpoint", unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.2:8080", false},
		{"to an endpoint that is gone", unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.9:8080", true},
		{"to an endpoint's old port", unix.IPPROTO_UDP, "10.96.0.10:53", "10.244.0.2:8081", true},
		{"never translated", unix.IPPROTO_UDP, "10.96.0.10:53", "10.96.0.10:53", true},
		{"TCP ends by itself", unix.IPPROTO_TCP, "10.96.0.10:53", "10.244.0.9:8080", false},
		{"to a ClusterIP that is gone", unix.IPPROTO_UDP, "10.96.9.9:53", "10.244.0.2:8080", true},
		{"to another address that was a Service's", unix.IPPROTO_UDP, "192.0.2.1:9", "10.244.0.2:8080", true},
		{"to the world", unix.IPPROTO_UDP, "192.0.2.2:53", "192.0.2.2:53", false},
		{"to a NodePort", unix.IPPROTO_UDP, "127.0.0.1:30053", "10.244.0.3:8080", false},
		{"to a NodePort whose endpoint is gone", unix.IPPROTO_UDP, "127.0.0.1:30053", "10.244.0.9:8080", true},
		{"to a NodePort before it was one", unix.IPPROTO_UDP, "127.0.0.1:30053", "127.0.0.1:30053", true},
		{"to a NodePort that is gone", unix.IPPROTO_UDP, "127.0.0.1:30009", "10.244.0.2:8080", true},
		{"to the NodePort's number elsewhere", unix.IPPROTO_UDP, "192.0.2.2:30053", "192.0.2.2:30053", false},
		{"to a hostPort", unix.IPPROTO_UDP, "127.0.0.1:9080", "10.244.0.2:8080", false},
		{"to a hostPort whose pod has another address now", unix.IPPROTO_UDP, "127.0.0.1:9080", "10.244.0.9:8080", true},
		{"to a hostPort before it was one", unix.IPPROTO_UDP, "127.0.0.1:9080", "127.0.0.1:9080", true},
		{"to a hostPort whose pod is gone", unix.IPPROTO_UDP, "127.0.0.1:9070", "10.244.0.3:8080", true},
		{"to a hostPort of one address", unix.IPPROTO_UDP, "127.0.0.1:9081", "10.244.0.9:8080", true},
		{"to its number at another address", unix.IPPROTO_UDP, "127.0.0.2:9081", "127.0.0.2:9081", false},
		{"to this machine", unix.IPPROTO_UDP, "127.0.0.1:53", "127.0.0.1:53", false},
	} {
		to, answer := netip.MustParseAddrPort(c.to), netip.MustParseAddrPort(c.answer)
		flow := &netlink.ConntrackFlow{
			Forward: netlink.IPTuple{Protocol: c.protocol, DstIP: net.ParseIP(to.Addr().String()), DstPort: to.Port()},
			Reverse: netlink.IPTuple{Protocol: c.protocol, SrcIP: net.ParseIP(answer.Addr().String()), SrcPort: answer.Port()},
		}
		if got := filter.MatchConntrackFlow(flow); got != c.stale {
			t.Errorf("%s: stale %v", c.says, got)
		}
	}
}
