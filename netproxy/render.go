package netproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Packet marks. Kubernetes has long claimed these two bits of the mark, so others stay clear of them; and where a
// kube-proxy or another instance shares the machine it means the same by them.
const (
	masqueradeMark = "0x4000/0x4000" // to leave with this machine's own address as the source
	rejectMark     = "0x8000/0x8000" // to be refused
)

// settings are what all rules of an instance have in common.
type settings struct {
	prefix            string // of every chain's name
	bridge            string
	serviceCIDR       netip.Prefix
	nodePortAddresses []netip.Prefix

	// masqueradePods hides pods from each other behind the gateway's address. It is needed where the kernel does
	// not show iptables what it switches: only replies that come back through the gateway are translated back.
	masqueradePods bool
	features       features
}

// features are what iptables and the kernel may lack. Rules without them still work, only less well.
type features struct {
	randomFully bool // MASQUERADE --random-fully: no two connections race for one source port
	recent      bool // match recent: session affinity
	sctp        bool // match sctp
}

// render is the whole desired state for these ports.
func render(s settings, ports []servicePort) ruleset {
	return ruleset{"filter": filterChains(s), "nat": natChains(s, ports)}
}

// filterChains refuse what nobody answers for, and let pass what the nat table translated. They don't depend on
// the Services: whatever is still addressed to the service CIDR behind the nat table has nobody to go to.
func filterChains(s settings) chains {
	c := chains{}
	reject := s.prefix + chainReject
	fromPods, toPods := "-i "+s.bridge, "-o "+s.bridge
	toService := "-d " + s.serviceCIDR.String()

	// A reset for TCP, because the kernel sends one host only one ICMP error a second.
	c.add(reject, "-p tcp -m mark --mark", rejectMark, "-j REJECT --reject-with tcp-reset")
	c.add(reject, "-m mark --mark", rejectMark, "-j REJECT --reject-with icmp-port-unreachable")
	// The nat table leaves alone what conntrack finds invalid; a reset would end a connection that is fine.
	c.add(reject, toService, "-m conntrack --ctstate INVALID -j DROP")
	c.add(reject, toService, "-p tcp -j REJECT --reject-with tcp-reset")
	c.add(reject, toService, "-j REJECT --reject-with icmp-port-unreachable")

	input := s.prefix + "INPUT"
	c.add(input, "-j", reject)
	// route_localnet on the bridge would let pods reach what listens on this machine's 127.0.0.1.
	c.add(input, fromPods, "-d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP")
	c.add(input, fromPods, "-m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT")

	forward := s.prefix + "FORWARD"
	c.add(forward, "-j", reject)
	// A late packet that is not translated back would look to the client like a stranger's, and be reset.
	c.add(forward, fromPods, "-m conntrack --ctstate INVALID -j DROP")
	c.add(forward, fromPods, toPods, "-j ACCEPT")
	c.add(forward, toPods, "-m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT")
	c.add(forward, fromPods, "-m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT")

	c.add(s.prefix+"OUTPUT", "-j", reject)
	return c
}

// natChains translate the first packet of each connection; conntrack does the rest.
func natChains(s settings, ports []servicePort) chains {
	c := chains{}
	services, external := s.prefix+chainServices, s.prefix+chainExternal

	pre := s.prefix + "PREROUTING"
	if s.masqueradePods {
		c.add(pre, "-i", s.bridge, "-d", s.serviceCIDR.String(), "-j MARK --set-xmark", masqueradeMark)
	}
	c.add(pre, "-i", s.bridge, "-j", services)
	for _, cidr := range s.nodePortAddresses {
		c.add(pre, "! -i", s.bridge, "-d", cidr.String(), "-m addrtype --dst-type LOCAL -j", external)
	}

	// This machine's source address was chosen for the way to the bridge; the endpoint may be elsewhere.
	out := s.prefix + "OUTPUT"
	c.add(out, "-d", s.serviceCIDR.String(), "-j MARK --set-xmark", masqueradeMark)
	c.add(out, "-j", services)

	post := s.prefix + "POSTROUTING"
	c.add(post, "-m mark ! --mark", masqueradeMark, "-j RETURN")
	c.add(post, "-j MARK --set-xmark 0x0/0x4000")
	masquerade := "-j MASQUERADE"
	if s.features.randomFully {
		masquerade += " --random-fully"
	}
	c.add(post, masquerade)

	s.addServices(c, services, ports)
	c.add(services, "-j", external)
	s.addExternal(c, external, ports)
	for i := range ports {
		s.addServicePort(c, &ports[i])
	}
	return c
}

// addServices tells the ClusterIPs apart. One without endpoints has no rule: the filter table refuses it.
func (s settings) addServices(c chains, chain string, ports []servicePort) {
	var leaves []leaf
	for i := range ports {
		if sp := &ports[i]; len(sp.Internal) > 0 && s.knows(sp.Protocol) {
			rule := "-d " + sp.ClusterIP.String() + "/32 " + portMatch(sp.Protocol, sp.Port) + comment(sp) +
				" -j " + servicePortChain(s.prefix, "SVC", sp)
			leaves = append(leaves, leaf{addressKey(sp.ClusterIP), []string{rule}})
		}
	}
	c.add(chain)
	s.addressDispatch(c, "IP-").build(chain, leaves)
}

// addExternal tells the externalIPs apart, and, for what is addressed to this machine, the NodePorts. Without
// endpoints they are marked for the filter table to refuse: unlike ClusterIPs, they may be anybody's addresses.
func (s settings) addExternal(c chains, chain string, ports []servicePort) {
	var addresses []leaf
	nodePorts := map[corev1.Protocol][]leaf{}
	for i := range ports {
		sp := &ports[i]
		if !s.knows(sp.Protocol) {
			continue
		}
		target := comment(sp) + " -j MARK --set-xmark " + rejectMark
		if len(sp.External) > 0 {
			target = comment(sp) + " -j " + servicePortChain(s.prefix, "EXT", sp)
		}
		for _, ip := range sp.ExternalIPs {
			rule := "-d " + ip.String() + "/32 " + portMatch(sp.Protocol, sp.Port) + target
			addresses = append(addresses, leaf{addressKey(ip), []string{rule}})
		}
		if sp.NodePort != 0 {
			rule := portMatch(sp.Protocol, sp.NodePort) + target
			nodePorts[sp.Protocol] = append(nodePorts[sp.Protocol], leaf{uint32(sp.NodePort), []string{rule}})
		}
	}
	s.addressDispatch(c, "XIP-").build(chain, addresses)

	local := s.prefix + chainNodePorts
	c.add(chain, "-m addrtype --dst-type LOCAL -j", local)
	c.add(local)
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
		s.portDispatch(c, protocol).build(local, nodePorts[protocol])
	}
}

// addServicePort makes the chains behind one port: from outside, balancing, and one for each endpoint.
func (s settings) addServicePort(c chains, sp *servicePort) {
	if !s.knows(sp.Protocol) {
		return
	}
	if len(sp.Internal) > 0 {
		s.addBalancing(c, servicePortChain(s.prefix, "SVC", sp), sp, sp.Internal)
	}
	if (sp.NodePort == 0 && len(sp.ExternalIPs) == 0) || len(sp.External) == 0 {
		return
	}
	ext, balance := servicePortChain(s.prefix, "EXT", sp), servicePortChain(s.prefix, "SVC", sp)
	if !slices.Equal(sp.Internal, sp.External) {
		balance = servicePortChain(s.prefix, "LCL", sp)
		s.addBalancing(c, balance, sp, sp.External)
	}
	if sp.PreserveSource {
		// This machine's own address may be 127.0.0.1, which no pod can answer.
		c.add(ext, "-m addrtype --src-type LOCAL -j MARK --set-xmark", masqueradeMark)
	} else {
		c.add(ext, "-j MARK --set-xmark", masqueradeMark)
	}
	c.add(ext, "-j", balance)
}

// addBalancing spreads connections evenly: the first of n endpoints takes one in n, the next one in n-1 of the
// rest. A client with affinity goes first where it went last.
func (s settings) addBalancing(c chains, chain string, sp *servicePort, eps []netip.AddrPort) {
	affinity := sp.AffinitySeconds > 0 && s.features.recent
	names := make([]string, len(eps))
	for i, ep := range eps {
		names[i] = endpointChain(s.prefix, sp, ep)
	}
	if affinity {
		seconds := strconv.Itoa(int(sp.AffinitySeconds))
		for _, sep := range names {
			c.add(chain, "-m recent --name", sep, "--rcheck --seconds", seconds, "--reap -j", sep)
		}
	}
	for i, sep := range names {
		if left := len(eps) - i; left > 1 {
			c.add(chain, "-m statistic --mode random --probability", strconv.FormatFloat(1/float64(left), 'f', 10, 64), "-j", sep)
		} else {
			c.add(chain, "-j", sep)
		}
		if _, ok := c[sep]; !ok {
			s.addEndpoint(c, sep, sp, eps[i], affinity)
		}
	}
}

// addEndpoint sends to one endpoint. One that calls itself would see its own address and never answer the Service.
func (s settings) addEndpoint(c chains, sep string, sp *servicePort, ep netip.AddrPort, affinity bool) {
	c.add(sep, "-s", ep.Addr().String()+"/32 -j MARK --set-xmark", masqueradeMark)
	remember := ""
	if affinity {
		remember = "-m recent --name " + sep + " --set "
	}
	c.add(sep, "-p", strings.ToLower(string(sp.Protocol)), remember+"-j DNAT --to-destination", ep.String())
}

// knows tells whether rules for the protocol can be made; the API allows these three.
func (s settings) knows(p corev1.Protocol) bool {
	return p == corev1.ProtocolTCP || p == corev1.ProtocolUDP || p == corev1.ProtocolSCTP && s.features.sctp
}

func (s settings) addressDispatch(c chains, name string) dispatch {
	return dispatch{chains: c, name: s.prefix + name, digits: 8, match: func(first, last uint32) string {
		a := netip.AddrFrom4([4]byte{byte(first >> 24), byte(first >> 16), byte(first >> 8), byte(first)})
		bits := 32
		for span := last - first; span > 0; span >>= 1 {
			bits--
		}
		return "-d " + netip.PrefixFrom(a, bits).String()
	}}
}

func (s settings) portDispatch(c chains, p corev1.Protocol) dispatch {
	proto := strings.ToLower(string(p))
	return dispatch{chains: c, name: s.prefix + string(p) + "-", digits: 4, match: func(first, last uint32) string {
		return fmt.Sprintf("-p %s -m %s --dport %d:%d", proto, proto, first, last)
	}}
}

func portMatch(p corev1.Protocol, port uint16) string {
	proto := strings.ToLower(string(p))
	return "-p " + proto + " -m " + proto + " --dport " + strconv.Itoa(int(port))
}

// comment names the port to whoever reads iptables-save. Names are DNS labels: nothing to quote inside.
func comment(sp *servicePort) string {
	return ` -m comment --comment "` + sp.String() + `"`
}

func addressKey(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
