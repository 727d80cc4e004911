package dns

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

const (
	// ttl is how long, in seconds, clients may keep a record, CoreDNS's
	// default: Services come and go within seconds.
	ttl = 5
	// schemaVersion is the DNS specification that the records follow.
	schemaVersion = "1.1.0"
)

func header(owner string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// newService computes the records of a Service (specification, sections 2.3 to
// 2.5). The slices only matter to a headless one.
func newService(domain string, svc *corev1.Service, slices []*discoveryv1.EndpointSlice) *service {
	b := &serviceBuilder{
		owner:   svc.Name + "." + svc.Namespace + ".svc." + domain,
		service: &service{nodes: map[string]node{}, names: map[netip.Addr]string{}},
		ports:   map[string][]*dns.SRV{},
	}
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		b.externalName(svc.Spec.ExternalName)
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		b.headless(slices)
	default:
		b.clusterIP(svc)
	}
	b.addPorts()
	return b.service
}

// serviceBuilder gathers the records of one Service.
type serviceBuilder struct {
	*service
	owner string // the Service's full name
	// ports are SRV records by what stands before the Service's name.
	ports map[string][]*dns.SRV
}

// externalName is section 2.5. A target that is no domain name has no record.
func (b *serviceBuilder) externalName(target string) {
	if _, ok := dns.IsDomainName(target); !ok || target == "" {
		return
	}
	record := &dns.CNAME{Hdr: header(b.owner, dns.TypeCNAME), Target: dns.Fqdn(target)}
	b.nodes[""] = node{dns.TypeCNAME: {answer: []dns.RR{record}}}
}

// clusterIP is section 2.3.
func (b *serviceBuilder) clusterIP(svc *corev1.Service) {
	b.nodes[""] = node{}
	ips := svc.Spec.ClusterIPs
	if len(ips) == 0 {
		ips = []string{svc.Spec.ClusterIP}
	}
	for _, ip := range ips {
		if addr, ok := parseIP(ip); ok {
			b.addAddress("", addr)
			b.names[addr] = b.owner
		}
	}
	for _, port := range svc.Spec.Ports {
		b.addPort(port.Name, port.Protocol, port.Port, b.owner)
	}
}

// headless is section 2.4. Without a ready endpoint the Service has no node, so
// that its name is NXDOMAIN, as the section asks.
func (b *serviceBuilder) headless(slices []*discoveryv1.EndpointSlice) {
	for _, slice := range slices {
		for i := range slice.Endpoints {
			if ready := slice.Endpoints[i].Conditions.Ready; ready == nil || *ready {
				b.addEndpoint(slice, &slice.Endpoints[i])
			}
		}
	}
}

// addEndpoint adds one ready endpoint: addresses, ports and names.
func (b *serviceBuilder) addEndpoint(slice *discoveryv1.EndpointSlice, endpoint *discoveryv1.Endpoint) {
	for _, ip := range endpoint.Addresses {
		addr, ok := parseIP(ip)
		if !ok {
			continue // an FQDN slice: its addresses are names
		}
		host := dashed(addr)
		if endpoint.Hostname != nil && *endpoint.Hostname != "" {
			host = strings.ToLower(*endpoint.Hostname)
		}
		b.addAddress("", addr)
		b.addAddress(host, addr)
		b.names[addr] = host + "." + b.owner
		for _, port := range slice.Ports {
			if port.Port != nil {
				b.addPort(deref(port.Name), deref(port.Protocol), *port.Port, host+"."+b.owner)
			}
		}
	}
}

// addAddress adds an A or AAAA record once.
func (b *serviceBuilder) addAddress(host string, addr netip.Addr) {
	owner := b.owner
	if host != "" {
		owner = host + "." + b.owner
	}
	record := addressRecord(owner, addr)
	rrtype := record.Header().Rrtype
	if b.nodes[host] == nil {
		b.nodes[host] = node{}
	}
	set := b.nodes[host][rrtype]
	// One Pod may be in two slices while it moves between them.
	if !slices.ContainsFunc(set.answer, func(rr dns.RR) bool { return dns.IsDuplicate(rr, record) }) {
		set.answer = append(set.answer, record)
		b.nodes[host][rrtype] = set
	}
}

// addPort adds the SRV records of a port: at the Service's name for every port,
// as CoreDNS does, and at _name._protocol when it has a name.
func (b *serviceBuilder) addPort(name string, protocol corev1.Protocol, port int32, target string) {
	b.addSRV("", uint16(port), target)
	if name == "" {
		return
	}
	proto := "_" + strings.ToLower(string(cmp.Or(protocol, corev1.ProtocolTCP)))
	b.nodes[proto] = node{} // between the port and the Service: exists, holds nothing
	b.addSRV("_"+strings.ToLower(name)+"."+proto, uint16(port), target)
}

func (b *serviceBuilder) addSRV(at string, port uint16, target string) {
	for _, srv := range b.ports[at] {
		if srv.Port == port && srv.Target == target {
			return
		}
	}
	owner := b.owner
	if at != "" {
		owner = at + "." + b.owner
	}
	b.ports[at] = append(b.ports[at], &dns.SRV{Hdr: header(owner, dns.TypeSRV), Port: port, Target: target})
}

// addPorts puts the gathered SRV records in place, with equal weights and with
// the addresses of their targets as additional records.
func (b *serviceBuilder) addPorts() {
	for at, records := range b.ports {
		set := rrset{}
		seen := map[string]bool{}
		for _, srv := range records {
			srv.Weight = uint16(max(1, 100/len(records)))
			set.answer = append(set.answer, srv)
			if !seen[srv.Target] {
				seen[srv.Target] = true
				set.extra = append(set.extra, b.addressesOf(srv.Target)...)
			}
		}
		if b.nodes[at] == nil {
			b.nodes[at] = node{}
		}
		b.nodes[at][dns.TypeSRV] = set
	}
}

// addressesOf are the A and AAAA records of a name below the Service.
func (b *serviceBuilder) addressesOf(target string) []dns.RR {
	host := strings.TrimSuffix(strings.TrimSuffix(target, b.owner), ".")
	n := b.nodes[host]
	return slices.Concat(n[dns.TypeA].answer, n[dns.TypeAAAA].answer)
}

func addressRecord(owner string, addr netip.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: header(owner, dns.TypeA), A: net.IP(addr.AsSlice())}
	}
	return &dns.AAAA{Hdr: header(owner, dns.TypeAAAA), AAAA: net.IP(addr.AsSlice())}
}

// dashed is an address as one label: 10-244-0-5, 2001-db8--1.
func dashed(addr netip.Addr) string {
	return strings.NewReplacer(".", "-", ":", "-").Replace(addr.String())
}

// reverseName is the name below in-addr.arpa or ip6.arpa.
func reverseName(addr netip.Addr) string {
	name, _ := dns.ReverseAddr(addr.String()) // cannot fail: addr is an address without a zone
	return name
}

// parseIP reads an address that a record can hold: one without an IPv6 zone.
func parseIP(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
