package netproxy

import (
	"maps"
	"net/netip"
	"reflect"

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
	family            family // of all addresses
	prefix            string // of every chain's name
	bridge            string
	serviceCIDR       netip.Prefix
	podCIDR           netip.Prefix
	otherCIDR         netip.Prefix // see Options
	nodePortAddresses []netip.Prefix
	// lanToPods lets other machines reach pods, and this machine on the bridge, at their own addresses. A Proxy never does.
	lanToPods bool

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

// render is the whole desired state for these ports of Services and of this machine.
func render(s settings, ports []servicePort, hosts []hostPort) ruleset {
	return new(renderer).render(s, ports, hosts)
}

// renderer remembers the rules of ports that stay as they are: among 1,000 Services a change costs a tenth.
// What it returns does not depend on what it remembers.
type renderer struct {
	features features
	memory   map[string]portRules // by servicePort.id
}

func (r *renderer) render(s settings, ports []servicePort, hosts []hostPort) ruleset {
	old, known := r.memory, r.features == s.features
	r.features, r.memory = s.features, make(map[string]portRules, len(ports))
	rules := make([]portRules, len(ports))
	for i := range ports {
		sp := &ports[i]
		if remembered, ok := old[sp.id]; known && ok && reflect.DeepEqual(remembered.of, *sp) {
			rules[i] = remembered
		} else {
			rules[i] = s.portRules(sp)
		}
		r.memory[sp.id] = rules[i]
	}
	return ruleset{"filter": filterChains(s), "nat": natChains(s, rules, hosts)}
}

// filterChains refuse what nobody answers for, and let pass what the nat table translated. They don't depend on
// the Services: whatever is still addressed to the service CIDR behind the nat table has nobody to go to.
func filterChains(s settings) chains {
	c := chains{}
	s.addRefusals(c)
	s.addAccepts(c)
	return c
}

// addRefusals makes the rules that end packets.
func (s settings) addRefusals(c chains) {
	reject, fromPods := s.prefix+chainReject, "-i "+s.bridge
	toService := "-d " + s.serviceCIDR.String()

	// A reset for TCP, because the kernel sends one host only one ICMP error a second.
	c.add(reject, "-p tcp -m mark --mark", rejectMark, "-j REJECT --reject-with tcp-reset")
	c.add(reject, "-m mark --mark", rejectMark, "-j REJECT --reject-with", s.family.portUnreachable())
	// The nat table leaves alone what conntrack finds invalid; a reset would end a connection that is fine.
	c.add(reject, toService, "-m conntrack --ctstate INVALID -j DROP")
	c.add(reject, toService, "-p tcp -j REJECT --reject-with tcp-reset")
	c.add(reject, toService, "-j REJECT --reject-with", s.family.portUnreachable())

	input := s.prefix + "INPUT"
	c.add(input, "-j", reject)
	if s.family == ipv4 {
		// route_localnet on the bridge would let pods reach what listens on this machine's 127.0.0.1.
		c.add(input, fromPods, "-d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP")
	}

	forward := s.prefix + "FORWARD"
	c.add(forward, "-j", reject)
	s.addStrangers(c, input, forward)
	// A late packet that is not translated back would look to the client like a stranger's, and be reset.
	c.add(forward, fromPods, "-m conntrack --ctstate INVALID -j DROP")

	c.add(s.prefix+"OUTPUT", "-j", reject)
}

// addStrangers refuses other machines what they send to the pods' range: what listens on the bridge, such as DNS and the API, and the pods
// themselves. Whoever is on the same network need only route there: this machine answers at each of its addresses on every device, and
// forwards unless Docker was the one to switch that on. What was translated was opened to them.
func (s settings) addStrangers(c chains, input, forward string) {
	if s.lanToPods || !s.podCIDR.IsValid() {
		return
	}
	strangers := s.prefix + chainStrangers
	for _, chain := range []string{input, forward} {
		c.add(chain, "! -i", s.bridge, "-d", s.podCIDR.Masked().String(), "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j", strangers)
	}
	c.add(strangers, "-i lo -j RETURN")
	c.add(strangers, "-p tcp -j REJECT --reject-with tcp-reset")
	c.add(strangers, "-j REJECT --reject-with", s.family.portUnreachable())
}

// addAccepts makes the rules that let packets pass others' rules in the same chains, such as Docker's policy for FORWARD
// and a firewall's for INPUT. With nftables they stay here: what one chain accepts there, another may still drop.
func (s settings) addAccepts(c chains) {
	fromPods, toPods := "-i "+s.bridge, "-o "+s.bridge
	c.add(s.prefix+"INPUT", fromPods, "-m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT")
	forward := s.prefix + "FORWARD"
	c.add(forward, fromPods, toPods, "-j ACCEPT")
	c.add(forward, toPods, "-m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT")
	c.add(forward, fromPods, "-m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT")
	if s.family == ipv6 {
		s.addBorder(c)
	}
}

// addBorder has Pods reach the world by IPv6, and keeps the world from them. For IPv4 Docker does that; engines before 27
// leave IPv6 alone.
func (s settings) addBorder(c chains) {
	const known = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
	fromPods, toPods := "-i "+s.bridge, "-o "+s.bridge
	forward := s.prefix + "FORWARD"
	c.add(forward, toPods, known)
	c.add(forward, fromPods, "-j ACCEPT")
	c.add(forward, toPods, "-j DROP")
}

// toThisMachine matches what is addressed to it. Nothing can be translated that goes to [::1]: the answers would come
// from another device than the loopback one, and the kernel takes none of these (see loopback6.go).
func (s settings) toThisMachine() string {
	if s.family == ipv6 {
		return "! -d ::1/128 -m addrtype --dst-type LOCAL "
	}
	return "-m addrtype --dst-type LOCAL "
}

// natChains translate the first packet of each connection; conntrack does the rest.
func natChains(s settings, ports []portRules, hosts []hostPort) chains {
	c := make(chains, 5*len(ports))
	services, external, local := s.prefix+chainServices, s.prefix+chainExternal, s.prefix+chainNodePorts

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
	s.addHostPorts(c, hosts, pre, out)

	post := s.prefix + "POSTROUTING"
	masquerade := "-j MASQUERADE"
	if s.features.randomFully {
		masquerade += " --random-fully"
	}
	if s.family == ipv6 { // see addBorder
		c.add(post, "-s", s.podCIDR.Masked().String(), "! -o", s.bridge, masquerade)
	}
	c.add(post, "-m mark ! --mark", masqueradeMark, "-j RETURN")
	c.add(post, "-j MARK --set-xmark 0x0/0x4000")
	c.add(post, masquerade)

	var clusterIPs, externalIPs []leaf
	nodePorts := map[corev1.Protocol][]leaf{}
	for _, p := range ports {
		maps.Copy(c, p.chains)
		clusterIPs = append(clusterIPs, p.clusterIP...)
		externalIPs = append(externalIPs, p.externalIPs...)
		nodePorts[p.of.Protocol] = append(nodePorts[p.of.Protocol], p.nodePort...)
	}
	s.addressDispatch(c, "IP-").build(services, clusterIPs)
	c.add(services, "-j", external)
	s.addressDispatch(c, "XIP-").build(external, externalIPs)
	c.add(external, s.toThisMachine()+"-j", local)
	c.add(local)
	for _, protocol := range protocols() {
		s.portDispatch(c, protocol).build(local, nodePorts[protocol])
	}
	return c
}
