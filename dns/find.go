package dns

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// outcome says what became of the search for a name.
type outcome int

const (
	foreign outcome = iota // not a name of the cluster: upstream knows
	missing                // a name of the cluster that does not exist: NXDOMAIN
	exists                 // it exists, with or without records
)

// place is where a name led: the zone it is in, for the SOA of a negative
// answer, and what it holds.
type place struct {
	apex string
	node node
	outcome
}

// find looks up name, which is in lower case and ends in a dot.
func (s *Server) find(snap *snapshot, name string) place {
	if rest, ok := s.domain.cut(name); ok {
		n, outcome := s.inCluster(snap, rest)
		return place{s.domain.apex, n, outcome}
	}
	if rest, ok := s.alias.cut(name); ok {
		n, outcome := snap.inServices(rest)
		return place{s.alias.apex, n, outcome}
	}
	if n, ok := s.machine[name]; ok {
		return place{name, n, exists}
	}
	if isLocalhost(name) {
		return place{name, localhostNode(name), exists}
	}
	if at := snap.inReverse(name); at.outcome != foreign {
		return at
	}
	if n, ok := s.hosts.find(name, time.Now()); ok {
		return place{name, n, exists}
	}
	return place{}
}

// covers tells whether the name may be the cluster's, before there is a
// snapshot to ask.
func (s *Server) covers(name string) bool {
	_, domain := s.domain.cut(name)
	_, alias := s.alias.cut(name)
	return domain || alias
}

// inCluster looks up what stands before the cluster's domain.
func (s *Server) inCluster(snap *snapshot, rest string) (node, outcome) {
	if n, ok := s.static[rest]; ok {
		return n, exists
	}
	switch rest, last := cutLast(rest); last {
	case "svc":
		return snap.inServices(rest)
	case "pod":
		return snap.inPods(rest)
	}
	return nil, missing
}

// inServices looks up what stands before "svc": "", "ns", "name.ns" or
// "port-or-host.name.ns".
func (s *snapshot) inServices(rest string) (node, outcome) {
	if rest == "" {
		return nil, exists
	}
	rest, last := cutLast(rest)
	ns := s.namespaces[last]
	if ns == nil {
		return nil, missing
	}
	if rest == "" {
		return nil, exists
	}
	rest, last = cutLast(rest)
	svc := ns.services[last]
	if svc == nil {
		return nil, missing
	}
	if n, ok := svc.nodes[rest]; ok {
		return n, exists
	}
	return nil, missing
}

// inPods looks up what stands before "pod": "", "ns" or "10-244-0-5.ns". Any
// address exists in any namespace, whether a Pod has it or not (CoreDNS: pods insecure).
func (s *snapshot) inPods(rest string) (node, outcome) {
	if rest == "" {
		return nil, exists
	}
	label, last := cutLast(rest)
	ns := s.namespaces[last]
	if ns == nil {
		return nil, missing
	}
	if label == "" {
		return nil, exists
	}
	addr, ok := undashed(label)
	if !ok {
		return nil, missing
	}
	// The owner is set to the name that was asked.
	record := addressRecord("", addr)
	return node{record.Header().Rrtype: {answer: []dns.RR{record}}}, exists
}

// inReverse looks up names below in-addr.arpa and ip6.arpa. Addresses that are
// no Service's are not the cluster's.
func (s *snapshot) inReverse(name string) place {
	addr, apex, ok := unreverse(name)
	if !ok || len(s.reverse[addr]) == 0 {
		return place{}
	}
	var set rrset
	for _, p := range s.reverse[addr] {
		set.answer = append(set.answer, p.record)
	}
	return place{apex, node{dns.TypePTR: set}, exists}
}

// unreverse reads 5.0.244.10.in-addr.arpa. and its like below ip6.arpa., and
// says which of the two zones the name is in.
func unreverse(name string) (addr netip.Addr, apex string, ok bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		labels := strings.Split(rest, ".")
		slices.Reverse(labels)
		addr, ok = parseIP(strings.Join(labels, "."))
		return addr, "in-addr.arpa.", ok && len(labels) == 4
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa.")
	if !ok || len(rest) != 63 {
		return addr, "", false
	}
	var text []byte // 32 nibbles, the last one first, with colons between four
	for i := 62; i >= 0; i -= 2 {
		if text = append(text, rest[i]); i%8 == 0 && i > 0 {
			text = append(text, ':')
		}
		if i > 0 && rest[i-1] != '.' {
			return addr, "", false
		}
	}
	addr, ok = parseIP(string(text))
	return addr, "ip6.arpa.", ok
}

// undashed reads 10-244-0-5 or 2001-db8--1.
func undashed(label string) (netip.Addr, bool) {
	if addr, ok := parseIP(strings.ReplaceAll(label, "-", ".")); ok {
		return addr, true
	}
	return parseIP(strings.ReplaceAll(label, "-", ":"))
}

// cutLast splits off the last label: "a.b.c" is "a.b" and "c". A label with an
// escaped dot is split wrongly, into parts that no Kubernetes name equals.
func cutLast(name string) (rest, last string) {
	dot := strings.LastIndexByte(name, '.')
	return name[:max(dot, 0)], name[dot+1:]
}

// staticNodes are the names of the zone that depend on no object: the zone
// itself, the schema's version (specification, section 2.2), and ns.dns, the
// name server that the zone's NS and SOA records speak of.
func staticNodes(domain string, addrs []netip.Addr) map[string]node {
	server := nameServer(domain)
	ns := &dns.NS{Hdr: header(domain, dns.TypeNS), Ns: server}
	version := &dns.TXT{Hdr: header("dns-version."+domain, dns.TypeTXT), Txt: []string{schemaVersion}}
	self := addressNode(server, addrs)
	return map[string]node{
		"":            {dns.TypeNS: {answer: []dns.RR{ns}, extra: slices.Concat(self[dns.TypeA].answer, self[dns.TypeAAAA].answer)}},
		"dns-version": {dns.TypeTXT: {answer: []dns.RR{version}}},
		"dns":         {},
		"ns.dns":      self,
	}
}

// machineNames are what pods call the machine that they run on: the first as with Docker.
func machineNames() []string { return []string{"host.docker.internal.", "host.kube-lite.internal."} }

// machineNodes have the machine's addresses on the bridge, which are also the server's: what listens there, or at all
// addresses, a pod can reach.
func machineNodes(addrs []netip.Addr) map[string]node {
	nodes := map[string]node{}
	for _, name := range machineNames() {
		nodes[name] = addressNode(name, addrs)
	}
	return nodes
}

// addressNode is a name that has nothing but addresses.
func addressNode(owner string, addrs []netip.Addr) node {
	n := node{}
	for _, addr := range addrs {
		record := addressRecord(owner, addr)
		rrtype := record.Header().Rrtype
		n[rrtype] = rrset{answer: append(n[rrtype].answer, record)}
	}
	return n
}

func nameServer(domain string) string { return "ns.dns." + domain }
