package router

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// gateway is what a Gateway serves.
type gateway struct {
	name      string // "namespace/name"
	listeners []*listener
}

// listener is a port of a Gateway, or one host of it.
type listener struct {
	port    uint16
	host    hostPattern
	secured bool // TLS ends here or behind
	// streams tells that what comes is led on as bytes, by the name that TLS asks for; passthrough that it stays encrypted.
	streams, passthrough bool
	certificates         []*tls.Certificate
	routes               []*gatewayRoute // in the order in which they are tried
	streamRoutes         []*streamRoute  // likewise
}

// origin orders routes that match equally well.
type origin struct {
	created     time.Time
	name        string // "namespace/name"
	rule, match int
}

func (o origin) compare(p origin) int {
	return cmp.Or(o.created.Compare(p.created), cmp.Compare(o.name, p.name), cmp.Compare(o.rule, p.rule), cmp.Compare(o.match, p.match))
}

// gatewayRoute leads the requests of one host that match to a rule.
type gatewayRoute struct {
	host   hostPattern
	match  requestMatch
	origin origin
	rule   *gatewayRule
}

func (r *gatewayRoute) compare(s *gatewayRoute) int {
	return cmp.Or(r.host.compare(s.host), r.match.compare(&s.match), r.origin.compare(s.origin))
}

// streamRoute leads connections.
type streamRoute struct {
	host     hostPattern
	origin   origin
	backends []weighted
}

func (r *streamRoute) compare(s *streamRoute) int {
	return cmp.Or(r.host.compare(s.host), r.origin.compare(s.origin))
}

func (l *listener) sort() {
	slices.SortFunc(l.routes, (*gatewayRoute).compare)
	slices.SortFunc(l.streamRoutes, (*streamRoute).compare)
}

// listener returns the most specific one of a port for a host, nil if there is none.
func (g *gateway) listener(port uint16, host string, serves func(*listener) bool) *listener {
	var best *listener
	for _, l := range g.listeners {
		if l.port == port && serves(l) && l.host.matches(host) && (best == nil || l.host.compare(best.host) < 0) {
			best = l
		}
	}
	return best
}

func servesHTTP(l *listener) bool { return !l.streams }
func servesTLS(l *listener) bool  { return l.secured }

// find returns the route of a request that came to a port, nil if there is none.
func (l *listener) find(req *http.Request) *gatewayRoute {
	host, path := hostname(req.Host), canonicalPath(req.URL.Path)
	var query url.Values
	for _, r := range l.routes {
		if query == nil && len(r.match.queries) > 0 {
			query = req.URL.Query()
		}
		if r.host.matches(host) && r.match.matches(req, path, query) {
			return r
		}
	}
	return nil
}

// stream returns the route of a connection, nil if there is none.
func (l *listener) stream(name string) *streamRoute {
	for _, r := range l.streamRoutes {
		if r.host.matches(name) {
			return r
		}
	}
	return nil
}

// at are the Gateways that are served at an address: the one whose own it is, or all of them; and the port that they declare.
func (t *table) at(address netip.AddrPort, ports Ports) (some []*gateway, port uint16) {
	if g := t.owners[address.Addr().Unmap()]; g != nil {
		return []*gateway{g}, address.Port()
	}
	return t.gateways, ports.declared(address.Port())
}

// secure returns the listener that a client's TLS handshake is meant for; nil if it is no Gateway's.
func (t *table) secure(address netip.AddrPort, ports Ports, name string) *listener {
	some, port := t.at(address, ports)
	for _, g := range some {
		if l := g.listener(port, strings.ToLower(name), servesTLS); l != nil {
			return l
		}
	}
	return nil
}

// declared is the port that objects mean by one that is served.
func (p Ports) declared(port uint16) uint16 {
	switch port {
	case p.HTTP:
		return httpPort
	case p.HTTPS:
		return httpsPort
	default:
		return port
	}
}

// serveGateway serves a request that a Gateway has a route for; false if none has.
func (r *Router) serveGateway(w http.ResponseWriter, req *http.Request, t *table) bool {
	local, ok := req.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	address := local.AddrPort()
	some, port := t.at(address, *r.ports.Load())
	own := t.owners[address.Addr().Unmap()] != nil
	secured := req.TLS != nil
	for _, g := range some {
		l := g.listener(port, hostname(req.Host), func(l *listener) bool { return servesHTTP(l) && l.secured == secured })
		if l == nil {
			continue
		}
		if secured && g.listener(port, hostname(req.TLS.ServerName), servesTLS) != l {
			if !own {
				continue
			}
			fail(w, http.StatusMisdirectedRequest, fmt.Sprintf("Gateway %s: the connection is for %q", g.name, req.TLS.ServerName))
			return true
		}
		route := l.find(req)
		if route == nil || !own && route.host == "" && t.knows(req.Host) { // an Ingress names the host
			continue
		}
		route.rule.serve(w, req, &route.match)
		return true
	}
	if own {
		fail(w, http.StatusNotFound, fmt.Sprintf("no route of the Gateway %s is for the host %q and the path %q", some[0].name, hostname(req.Host), req.URL.Path))
	}
	return own
}
