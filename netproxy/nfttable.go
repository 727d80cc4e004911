package netproxy

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What every instance's table has: the names of its maps and sets, and the chains that do not depend on the Services.
const (
	nftClusterIPs  = "cluster-ips"   // address, protocol, port : the chain that balances
	nftOutsideIPs  = "external-ips"  // the same for externalIPs and load balancers' addresses
	nftNodePorts   = "node-ports"    // protocol, port : the chain that balances
	nftHostPorts   = "host-ports"    // protocol, port : nftToPod, or nftRefuse while the Pod has no address
	nftHostPods    = "host-pods"     // protocol, port : Pod
	nftHostIPPorts = "host-ip-ports" // the same for ports of one address of this machine, which comes first
	nftHostIPPods  = "host-ip-pods"
	nftHairpins    = "hairpins" // endpoint's address twice: it called itself

	nftServices = "services"    // by ClusterIP, then what is in nftOutside
	nftOutside  = "external"    // by externalIP or load balancer's, then by NodePort
	nftHosts    = "host-ports"  // to the Pods that have ports of this machine
	nftToPod    = "to-pod"      // to the one that has this port
	nftToPodIP  = "to-pod-ip"   // to the one that has this port of this address
	nftRefuse   = "mark-reject" // marks what is to be rejected
	nftReject   = "rejected"    // rejects it
)

// nftTable is the name of the tables of an instance, in the families ip and ip6.
func nftTable(instance string) string { return "kube-lite-" + instance }

// What maps look up, as the type of a key and as the expression for it.
const (
	nftPortType = "inet_proto . inet_service"
	nftPort     = "meta l4proto . th dport"
)

// at is an address and a port, as an expression of nft and as its type.
func (f family) at() string     { return f.ip() + " daddr . meta l4proto . th dport" }
func (f family) atType() string { return f.addressType() + " . inet_proto . inet_service" }

// target is what the values of maps have that lead to endpoints.
func (f family) target() string { return " : " + f.addressType() + " . inet_service" }

// nftMaps are the types of the maps that every table has; each endpointMap comes when it is needed.
func (f family) nftMaps() map[string]string {
	nftAtType, nftTarget := f.atType(), f.target()
	return map[string]string{
		nftClusterIPs: nftAtType + " : verdict", nftOutsideIPs: nftAtType + " : verdict", nftNodePorts: nftPortType + " : verdict",
		nftHostPorts: nftPortType + " : verdict", nftHostPods: nftPortType + nftTarget,
		nftHostIPPorts: nftAtType + " : verdict", nftHostIPPods: nftAtType + nftTarget,
	}
}

const (
	nftMarkMasquerade = "meta mark set meta mark or 0x4000"
	nftIsMasquerade   = "meta mark and 0x4000"
	nftMarkReject     = "meta mark set meta mark or 0x8000"
	nftIsReject       = "meta mark and 0x8000"
)

// baseChain is where packets enter the table. The priorities are before those of iptables: our rules are to be first,
// as the jumps to our chains are there, and a refusal must not be dropped by a firewall's policy.
type baseChain struct {
	kind, hook string
	priority   string
}

func nftBaseChains() map[string]baseChain {
	return map[string]baseChain{
		"nat-prerouting":  {"nat", "prerouting", "-105"},
		"nat-output":      {"nat", "output", "-105"},
		"nat-postrouting": {"nat", "postrouting", "95"},
		"filter-input":    {"filter", "input", "-5"},
		"filter-forward":  {"filter", "forward", "-5"},
		"filter-output":   {"filter", "output", "-5"},
	}
}

// nftChains are the chains of every table. What they do is what the chains of iptables do, see natChains and
// filterChains; what differs is that one look into a map replaces all rules of Services.
func (s settings) nftChains() chains {
	c, nftAt := chains{}, s.family.at()
	s.addNftNAT(c)
	s.addNftFilter(c)
	c.add(nftServices, nftAt, "vmap @"+nftClusterIPs)
	c.add(nftServices, "goto", nftOutside)
	c.add(nftOutside, nftAt, "vmap @"+nftOutsideIPs)
	c.add(nftOutside, s.nftToThisMachine(), nftPort, "vmap @"+nftNodePorts)
	c.add(nftHosts, nftAt, "vmap @"+nftHostIPPorts)
	c.add(nftHosts, nftPort, "vmap @"+nftHostPorts)
	for chain, to := range map[string]string{nftToPod: nftPort + " map @" + nftHostPods, nftToPodIP: nftAt + " map @" + nftHostIPPods} {
		// 127.0.0.1 no Pod can answer.
		c.add(chain, s.family.ip()+" saddr", s.family.loopback(), nftMarkMasquerade)
		if s.masqueradePods {
			c.add(chain, "iifname", quoted(s.bridge), nftMarkMasquerade)
		}
		c.add(chain, "dnat", s.family.ip(), "to", to)
	}
	c.add(nftRefuse, nftMarkReject)
	return c
}

func (s settings) addNftNAT(c chains) {
	ip, bridge := s.family.ip(), quoted(s.bridge)
	toService := ip + " daddr " + s.serviceCIDR.String()
	if s.masqueradePods {
		c.add("nat-prerouting", "iifname", bridge, toService, nftMarkMasquerade)
	}
	c.add("nat-prerouting", "iifname", bridge, "jump", nftServices)
	for _, cidr := range s.nodePortAddresses {
		c.add("nat-prerouting", "iifname !=", bridge, ip+" daddr", cidr.Masked().String(), "fib daddr type local jump", nftOutside)
	}
	c.add("nat-prerouting", s.nftToThisMachine(), "jump", nftHosts)

	c.add("nat-output", toService, nftMarkMasquerade)
	c.add("nat-output", "jump", nftServices)
	c.add("nat-output", s.nftToThisMachine(), "jump", nftHosts)

	if s.family == ipv6 { // see addBorder
		c.add("nat-postrouting", "ip6 saddr", s.podCIDR.Masked().String(), "oifname !=", bridge, "masquerade fully-random")
	}
	c.add("nat-postrouting", "ct status dnat", ip, "saddr .", ip, "daddr @"+nftHairpins, nftMarkMasquerade)
	c.add("nat-postrouting", nftIsMasquerade, "!= 0x4000 return")
	c.add("nat-postrouting", "meta mark set meta mark xor 0x4000")
	c.add("nat-postrouting", "masquerade fully-random")
}

func (s settings) addNftFilter(c chains) {
	ip, bridge := s.family.ip(), quoted(s.bridge)
	toService := ip + " daddr " + s.serviceCIDR.String()
	for _, chain := range []string{"filter-input", "filter-forward", "filter-output"} {
		c.add(chain, nftIsReject, "== 0x8000 goto", nftReject)
		c.add(chain, toService, "goto", nftReject)
	}
	if s.family == ipv4 {
		toLocalhost := "iifname " + bridge + " ip daddr 127.0.0.0/8 "
		c.add("filter-input", toLocalhost+"ct state invalid,untracked drop")
		c.add("filter-input", toLocalhost+"ct state new ct status and dnat != dnat drop")
	}
	c.add("filter-forward", "iifname", bridge, "ct state invalid drop")
	if !s.lanToPods && s.podCIDR.IsValid() { // see addStrangers
		for _, chain := range []string{"filter-input", "filter-forward"} {
			c.add(chain, "iifname !=", bridge, `iifname != "lo"`, ip, "daddr", s.podCIDR.Masked().String(), "ct state new ct status and dnat != dnat goto", nftReject)
		}
	}
	c.add(nftReject, toService, "ct state invalid drop")
	c.add(nftReject, "meta l4proto tcp reject with tcp reset")
	c.add(nftReject, "reject")
}

// nftToThisMachine is toThisMachine.
func (s settings) nftToThisMachine() string {
	if s.family == ipv6 {
		return "ip6 daddr != ::1 fib daddr type local"
	}
	return "fib daddr type local"
}

// balance is the choice of one of n endpoints, the same for all Services that have as many. Each number has a map of its
// own, with the endpoint of each Service that has the number: one chain draws a number, another looks into its map. A
// drawn number as a part of the key would need one map, but nft up to 1.0.6 cannot say the type of such a key reliably.
type balance struct {
	way    way
	source source
	n      int
}

// way is how a Service was called.
type way string

const (
	byClusterIP  way = "cluster"
	byExternalIP way = "external"
	byNodePort   way = "node"
)

// source is what becomes of the client's address.
type source string

const (
	sourceKept        source = ""      // but for hairpins and what nat-output marks
	sourceMasqueraded source = "-masq" // hidden
	sourceKeptOutside source = "-kept" // externalTrafficPolicy Local: kept unless it is this machine's
)

func (b balance) chain() string { return fmt.Sprintf("%s%s-%d", b.way, b.source, b.n) }

func (b balance) rules() []string {
	var rules []string
	if mark := b.source.mark(); mark != "" {
		rules = append(rules, mark)
	}
	if b.n == 1 {
		return append(rules, "goto "+b.way.endpointChain(0))
	}
	choices := make([]string, b.n)
	for i := range choices {
		choices[i] = fmt.Sprintf("%d : goto %s", i, b.way.endpointChain(i))
	}
	return append(rules, fmt.Sprintf("numgen random mod %d vmap { %s }", b.n, strings.Join(choices, " , ")))
}

func (s source) mark() string {
	switch s {
	case sourceMasqueraded:
		return nftMarkMasquerade
	case sourceKeptOutside: // this machine's own may be 127.0.0.1, which no pod can answer
		return "fib saddr type local " + nftMarkMasquerade
	}
	return ""
}

// endpointMap has the endpoints with a number; endpointChain sends to the one of the Service that was called.
func (w way) endpointMap(number int) string { return fmt.Sprintf("%s-endpoints-%d", w, number) }

func (w way) endpointMapType(f family) string {
	if w == byNodePort {
		return nftPortType + f.target()
	}
	return f.atType() + f.target()
}

func (w way) endpointChain(number int) string { return fmt.Sprintf("%s-endpoint-%d", w, number) }

func (w way) endpointRules(number int, f family) []string {
	key := f.at()
	if w == byNodePort {
		key = nftPort
	}
	return []string{"dnat " + f.ip() + " to " + key + " map @" + w.endpointMap(number)}
}

func quoted(device string) string { return `"` + device + `"` }

func protocolName(p corev1.Protocol) string { return strings.ToLower(string(p)) }
