package dns

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// node is what one name holds, by record type. A node without records is an
// empty non-terminal: the name exists, so the answer is NOERROR (RFC 8020).
type node map[uint16]rrset

// rrset are the records of one type at one name, and those that a client will
// ask for next.
type rrset struct {
	answer []dns.RR
	extra  []dns.RR
}

// snapshot is all that the cluster's zone knows at one moment. It is immutable;
// edit makes the next one.
type snapshot struct {
	namespaces map[string]*namespace
	// reverse holds the PTR records of ClusterIPs and headless endpoints.
	reverse map[netip.Addr][]pointer
	// serial is the second of this snapshot's making, for SOA records.
	serial uint32
	// complete is false until the informers have synced.
	complete bool
}

// namespace is immutable, as is all below it.
type namespace struct {
	declared bool // the Namespace object exists
	services map[string]*service
}

// service is what one Service answers for.
type service struct {
	// nodes are keyed by the labels before the Service's own name: "" is the
	// Service, "_http._tcp" a port, "web-0" an endpoint.
	nodes map[string]node
	// names are what the Service's addresses are called.
	names map[netip.Addr]string
}

// pointer is one PTR record and the Service, "name.namespace", it stems from.
type pointer struct {
	service string
	record  dns.RR
}

// edit starts the successor of s.
func (s *snapshot) edit() *edition {
	e := &edition{next: &snapshot{namespaces: maps.Clone(s.namespaces), reverse: maps.Clone(s.reverse)}, copied: map[string]bool{}}
	if e.next.namespaces == nil {
		e.next.namespaces, e.next.reverse = map[string]*namespace{}, map[netip.Addr][]pointer{}
	}
	return e
}

// edition is a snapshot in the making. It copies a namespace before the first
// change to it and leaves the others shared, so that an edit costs what the
// namespace weighs, not the cluster.
type edition struct {
	next   *snapshot
	copied map[string]bool
}

// publish ends the edition and returns its snapshot.
func (e *edition) publish() *snapshot {
	for name := range e.copied {
		ns := e.next.namespaces[name]
		if !ns.declared && len(ns.services) == 0 {
			delete(e.next.namespaces, name)
		}
	}
	e.next.serial, e.next.complete = uint32(time.Now().Unix()), true
	return e.next
}

// namespace returns a copy that may be changed until publish.
func (e *edition) namespace(name string) *namespace {
	if e.copied[name] {
		return e.next.namespaces[name]
	}
	ns := &namespace{services: map[string]*service{}}
	if old := e.next.namespaces[name]; old != nil {
		ns = &namespace{declared: old.declared, services: maps.Clone(old.services)}
	}
	e.next.namespaces[name] = ns
	e.copied[name] = true
	return ns
}

// setService puts svc in place of what was there; nil removes it.
func (e *edition) setService(namespace, name string, svc *service) {
	ns, key := e.namespace(namespace), name+"."+namespace
	if old := ns.services[name]; old != nil {
		e.unpoint(key, old)
	}
	if svc == nil {
		delete(ns.services, name)
		return
	}
	ns.services[name] = svc
	for addr, target := range svc.names {
		record := &dns.PTR{Hdr: header(reverseName(addr), dns.TypePTR), Ptr: target}
		// Clip: the array may be shared with snapshots that are being read.
		e.next.reverse[addr] = append(slices.Clip(e.next.reverse[addr]), pointer{key, record})
	}
}

// unpoint takes back the PTR records of a Service.
func (e *edition) unpoint(key string, svc *service) {
	for addr := range svc.names {
		var rest []pointer
		for _, p := range e.next.reverse[addr] {
			if p.service != key {
				rest = append(rest, p)
			}
		}
		if rest == nil {
			delete(e.next.reverse, addr)
			continue
		}
		e.next.reverse[addr] = rest
	}
}
