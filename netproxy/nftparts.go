package netproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// element is one of a map, or of a set, which has no value.
type element struct {
	in, key string
	value   string
	comment string // for whoever lists the table
}

// nftPart is what one Service, or all hostPorts, add to a table.
type nftPart struct {
	elements []element
	balances map[balance]bool // those that lead to the endpoints
	chains   chains           // those of this part only
	clients  map[string]int32 // sets of clients with affinity, and for how many seconds they have it

	added map[[2]string]bool // which elements there are, by where and key
}

func newNftPart() *nftPart {
	return &nftPart{balances: map[balance]bool{}, chains: chains{}, clients: map[string]int32{}, added: map[[2]string]bool{}}
}

// nftServicePart is the part of a Service. An address without endpoints that is a ClusterIP has no element, because all that
// is still addressed to the service CIDR is rejected; see portRules.
func nftServicePart(ports []servicePort) *nftPart {
	p := newNftPart()
	for i := range ports {
		sp := &ports[i]
		if len(sp.inside()) > 0 {
			key := addressPort(sp.ClusterIP, sp)
			p.add(nftClusterIPs, key, "goto "+p.byClient(sp, p.to(byClusterIP, key, sp)), sp.id)
		}
		for _, ip := range sp.ExternalIPs {
			key := addressPort(ip, sp)
			p.add(nftOutsideIPs, key, "goto "+p.to(byExternalIP, key, sp), sp.id)
		}
		for _, ip := range sp.balancedIPs() {
			key := addressPort(ip, sp)
			p.add(nftOutsideIPs, key, "goto "+p.firewall(sp, p.to(byExternalIP, key, sp)), sp.id)
		}
		if sp.NodePort != 0 {
			key := fmt.Sprintf("%s . %d", protocolName(sp.Protocol), sp.NodePort)
			p.add(nftNodePorts, key, "goto "+p.to(byNodePort, key, sp), sp.id)
		}
		for _, at := range sp.ByNode {
			key := fmt.Sprintf("%s . %s . %d", at.Address, protocolName(sp.Protocol), sp.NodePort)
			p.add(nftOutsideIPs, key, "goto "+p.lead(byExternalIP, key, sourceKeptOutside, sp, at.Endpoints), sp.id)
		}
	}
	return p
}

func addressPort(ip netip.Addr, sp *servicePort) string {
	return fmt.Sprintf("%s . %s . %d", ip, protocolName(sp.Protocol), sp.Port)
}

// add adds an element, unless its key is there: one of an address that a Service names twice.
func (p *nftPart) add(in, key, value, comment string) {
	if p.added[[2]string{in, key}] {
		return
	}
	p.added[[2]string{in, key}] = true
	p.elements = append(p.elements, element{in, key, value, comment})
}

// to returns the chain that sends what has the key to one of the port's endpoints, and adds these to maps.
func (p *nftPart) to(way way, key string, sp *servicePort) string {
	eps, source := sp.External, sourceMasqueraded
	if way == byClusterIP {
		eps, source = sp.Internal, sourceKept
	} else if sp.PreserveSource {
		source = sourceKeptOutside
	}
	return p.lead(way, key, source, sp, eps)
}

// lead is to with the endpoints that are meant, and with what becomes of the client's address.
func (p *nftPart) lead(way way, key string, source source, sp *servicePort, eps []netip.AddrPort) string {
	if len(eps) == 0 {
		return nftRefuse
	}
	for _, ep := range eps {
		p.hairpin(ep.Addr())
	}
	if sp.AffinitySeconds > 0 {
		return p.sticky(source, sp, eps)
	}
	for i, ep := range eps {
		p.add(way.endpointMap(i), key, fmt.Sprintf("%s . %d", ep.Addr(), ep.Port()), "")
	}
	b := balance{way, source, len(eps)}
	p.balances[b] = true
	return b.chain()
}

func (p *nftPart) hairpin(ip netip.Addr) { p.add(nftHairpins, ip.String()+" . "+ip.String(), "", "") }

// firewall returns the chain that leads to another only from where a load balancer may be reached. This machine may
// always: its loopback address is in nobody's ranges.
func (p *nftPart) firewall(sp *servicePort, to string) string {
	if len(sp.SourceRanges) == 0 || to == nftRefuse {
		return to
	}
	name := "firewall-" + hash(sp.id)[:8]
	p.chains[name] = []string{
		"fib saddr type local goto " + to,
		familyOf(sp.ClusterIP).ip() + " saddr { " + strings.Join(disjoint(sp.SourceRanges), ", ") + " } goto " + to,
		"goto " + nftRefuse,
	}
	return name
}

// byClient returns the chain that leads the Pods of single nodes to the endpoints on these, and everybody else to another. Where
// there is none, nothing is translated, and the filter chains refuse.
func (p *nftPart) byClient(sp *servicePort, others string) string {
	if len(sp.InternalByNode) == 0 {
		return others
	}
	ip, name := familyOf(sp.ClusterIP).ip(), "clients-of-"+hash(sp.id)[:8]
	for _, of := range sp.InternalByNode {
		to := "return"
		if len(of.Endpoints) > 0 {
			inside := "inside-" + hash(sp.id + "<" + of.Node)[:8]
			for _, ep := range of.Endpoints {
				p.hairpin(ep.Addr())
			}
			p.stickyBalance(inside, sp, of.Endpoints)
			to = "goto " + inside
		}
		for _, r := range of.Clients {
			p.chains.add(name, ip, "saddr", r.String(), to)
		}
	}
	if others != nftRefuse {
		p.chains.add(name, "goto", others)
	}
	return name
}

// sticky returns the chain of a port whose clients keep their endpoints.
func (p *nftPart) sticky(source source, sp *servicePort, eps []netip.AddrPort) string {
	inside, outside := "service-"+hash(sp.id)[:8], "outside-"+hash(sp.id)[:8]
	if !slices.Equal(sp.Internal, eps) {
		inside = "local-" + hash(sp.id)[:8]
	}
	for _, at := range sp.ByNode {
		if slices.Equal(at.Endpoints, eps) && !slices.Equal(sp.External, eps) {
			inside, outside = "node-"+hash(sp.id + "@" + at.Address.String())[:8], "outside-"+hash(sp.id + "@" + at.Address.String())[:8]
		}
	}
	p.stickyBalance(inside, sp, eps)
	if source == sourceKept {
		return inside
	}
	p.chains[outside] = []string{source.mark(), "goto " + inside}
	return outside
}

// stickyBalance makes a chain that sends a client to the endpoint that it had, if it keeps that, or else to any.
func (p *nftPart) stickyBalance(chain string, sp *servicePort, eps []netip.AddrPort) {
	var rules, choices []string
	ip := familyOf(sp.ClusterIP).ip()
	for i, ep := range eps {
		id := hash(sp.id + ">" + ep.String())[:8]
		endpoint, clients := "endpoint-"+id, fmt.Sprintf("clients-%s-%d", id, sp.AffinitySeconds)
		dnat := fmt.Sprintf("meta l4proto %s dnat %s to %s", protocolName(sp.Protocol), ip, ep)
		choices = append(choices, fmt.Sprintf("%d : goto %s", i, endpoint))
		if sp.AffinitySeconds == 0 {
			p.chains[endpoint] = []string{dnat}
			continue
		}
		rules = append(rules, ip+" saddr @"+clients+" goto "+endpoint)
		p.clients[clients] = sp.AffinitySeconds
		p.chains[endpoint] = []string{"update @" + clients + " { " + ip + " saddr }", dnat}
	}
	p.chains[chain] = append(rules, fmt.Sprintf("numgen random mod %d vmap { %s }", len(eps), strings.Join(choices, " , ")))
}

// nftHostPart is the part of all ports of this machine that lead to Pods.
func nftHostPart(hosts []hostPort) *nftPart {
	p := newNftPart()
	for _, h := range hosts {
		ports, pods, to := nftHostPorts, nftHostPods, nftToPod
		key := fmt.Sprintf("%s . %d", protocolName(h.Protocol), h.Port)
		if h.HostIP.IsValid() {
			ports, pods, to = nftHostIPPorts, nftHostIPPods, nftToPodIP
			key = h.HostIP.String() + " . " + key
		}
		if !h.To.IsValid() {
			p.add(ports, key, "goto "+nftRefuse, h.comment())
			continue
		}
		p.add(ports, key, "goto "+to, h.comment())
		p.add(pods, key, fmt.Sprintf("%s . %d", h.To.Addr(), h.To.Port()), "")
		p.hairpin(h.To.Addr())
	}
	return p
}

// disjoint leaves out the ranges that are parts of others: the kernel wants no address twice.
func disjoint(ranges []netip.Prefix) (texts []string) {
	widest := slices.SortedFunc(slices.Values(ranges), func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	for i, r := range widest {
		if !slices.ContainsFunc(widest[:i], r.Overlaps) {
			texts = append(texts, r.String())
		}
	}
	return texts
}
