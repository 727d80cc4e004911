package netproxy

import (
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// portRules are the rules of one port of a Service: those that find it, and the chains behind them.
type portRules struct {
	of          servicePort
	clusterIP   []leaf // none or one
	externalIPs []leaf // and those of load balancers
	nodePort    []leaf // none or one
	chains      chains
}

// portRules renders one port. A ClusterIP without endpoints has no rule: the filter table refuses what is still
// addressed to the service CIDR. NodePorts, externalIPs and those of load balancers without endpoints are marked for it
// to refuse, because they may be anybody's addresses.
func (s settings) portRules(sp *servicePort) portRules {
	r := portRules{of: *sp, chains: chains{}}
	if !s.knows(sp.Protocol) {
		return r
	}
	if len(sp.inside()) > 0 {
		svc := servicePortChain(s.prefix, "SVC", sp)
		rule := "-d " + one(sp.ClusterIP) + " " + portMatch(sp.Protocol, sp.Port) + comment(sp) + " -j " + svc
		r.clusterIP = []leaf{{addressKey(sp.ClusterIP), rule}}
		s.addClients(r.chains, svc, sp)
		s.addBalancing(r.chains, svc, sp, sp.Internal)
	}
	if sp.NodePort == 0 && len(sp.ExternalIPs) == 0 && len(sp.LoadBalancerIPs) == 0 {
		return r
	}
	target := comment(sp) + " -j MARK --set-xmark " + rejectMark
	balanced := target
	if len(sp.External) > 0 {
		ext := s.addExternal(r.chains, sp)
		target = comment(sp) + " -j " + ext
		balanced = comment(sp) + " -j " + s.addSourceRanges(r.chains, sp, ext)
	}
	addresses := func(ips []netip.Addr, target string) {
		for _, ip := range ips {
			rule := "-d " + one(ip) + " " + portMatch(sp.Protocol, sp.Port) + target
			r.externalIPs = append(r.externalIPs, leaf{addressKey(ip), rule})
		}
	}
	addresses(sp.ExternalIPs, target)
	addresses(sp.balancedIPs(), balanced)
	for _, at := range sp.ByNode {
		rule := "-d " + one(at.Address) + " " + portMatch(sp.Protocol, sp.NodePort) + comment(sp)
		r.externalIPs = append(r.externalIPs, leaf{addressKey(at.Address), rule + " -j " + s.addNode(r.chains, sp, at)})
	}
	if sp.NodePort != 0 {
		r.nodePort = []leaf{{portKey(sp.NodePort), portMatch(sp.Protocol, sp.NodePort) + target}}
	}
	return r
}

// addClients leads the Pods of single nodes to the endpoints on these. Where there is none, nothing is translated, and the
// filter table refuses.
func (s settings) addClients(c chains, svc string, sp *servicePort) {
	for _, of := range sp.InternalByNode {
		to := "RETURN"
		if len(of.Endpoints) > 0 {
			to = clientsChain(s.prefix, sp, of.Node)
			s.addBalancing(c, to, sp, of.Endpoints)
		}
		for _, r := range of.Clients {
			c.add(svc, "-s", r.String(), "-j", to)
		}
	}
	c.add(svc)
}

// addExternal makes the chain for what comes from outside and returns its name.
func (s settings) addExternal(c chains, sp *servicePort) string {
	ext, balance := servicePortChain(s.prefix, "EXT", sp), servicePortChain(s.prefix, "SVC", sp)
	if !sp.sameInside() {
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
	return ext
}

// addNode makes the chain for what comes to one node, and returns how to get there.
func (s settings) addNode(c chains, sp *servicePort, at nodeEndpoints) string {
	if len(at.Endpoints) == 0 {
		return "MARK --set-xmark " + rejectMark
	}
	chain := nodeChain(s.prefix, sp, at.Address)
	c.add(chain, "-m addrtype --src-type LOCAL -j MARK --set-xmark", masqueradeMark)
	s.addBalancing(c, chain, sp, at.Endpoints)
	return chain
}

// addSourceRanges returns the chain that leads to ext only from where a load balancer may be reached. This machine may
// always: its loopback address is in nobody's ranges.
func (s settings) addSourceRanges(c chains, sp *servicePort, ext string) string {
	if len(sp.SourceRanges) == 0 || len(sp.LoadBalancerIPs) == 0 {
		return ext
	}
	fw := servicePortChain(s.prefix, "FW", sp)
	c.add(fw, "-m addrtype --src-type LOCAL -j", ext)
	for _, r := range sp.SourceRanges {
		c.add(fw, "-s", r.String(), "-j", ext)
	}
	c.add(fw, "-j MARK --set-xmark", rejectMark)
	return fw
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
	c.add(sep, "-s", one(ep.Addr())+" -j MARK --set-xmark", masqueradeMark)
	remember := ""
	if affinity {
		remember = "-m recent --name " + sep + " --set "
	}
	c.add(sep, "-p", strings.ToLower(string(sp.Protocol)), remember+"-j DNAT --to-destination", ep.String())
}

// protocols are those that a port may have.
func protocols() []corev1.Protocol {
	return []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
}

// knows tells whether rules for the protocol can be made; the API allows these three.
func (s settings) knows(p corev1.Protocol) bool {
	return p == corev1.ProtocolTCP || p == corev1.ProtocolUDP || p == corev1.ProtocolSCTP && s.features.sctp
}

func portMatch(p corev1.Protocol, port uint16) string {
	proto := strings.ToLower(string(p))
	return "-p " + proto + " -m " + proto + " --dport " + strconv.Itoa(int(port))
}

// comment names the port to whoever reads iptables-save. Names are DNS labels: nothing to quote inside.
func comment(sp *servicePort) string {
	return ` -m comment --comment "` + sp.String() + `"`
}
