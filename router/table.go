package router

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// table says where each request leads. It is immutable: every change of routes makes a new one.
type table struct {
	// exact has the hosts, in lower case; wildcards those that begin with "*.", by what follows.
	exact, wildcards map[string]*site
	// rest serves every other host.
	rest *site
	// certificates are those of Secrets, by host or by "*." and what follows.
	certificates map[string]*tls.Certificate
	// gateways are those of Gateway API, the oldest first, owners those that have an address of their own.
	gateways []*gateway
	owners   map[netip.Addr]*gateway
	// sniffs tells that some Gateway has TLS, so that the name that a client asks for says whose its connection is.
	sniffs bool
}

// site is what is served under one host.
type site struct {
	routes []*route // in the order in which they are tried
	// fallback is for the paths of no route; nil where none was declared.
	fallback *route
}

// route is a place where requests lead.
type route struct {
	// owner is whose it is, for messages, such as "Ingress default/web".
	owner   string
	path    pathMatch
	backend *backend
	// rewrite replaces the path; nil: it stays.
	rewrite *rewrite
	// secure sends those who come without TLS to the same URL with it.
	secure bool
	// maxBody is the most bytes that a request may bring; 0: no limit.
	maxBody int64
	// handler passes requests on.
	handler http.Handler
}

func newTable() *table {
	return &table{exact: map[string]*site{}, wildcards: map[string]*site{}, rest: &site{}, certificates: map[string]*tls.Certificate{}}
}

// siteOf returns the site of a host as an Ingress declares it, "" being every other one. It makes what is not there.
func (t *table) siteOf(host string) *site {
	if host == "" {
		return t.rest
	}
	sites, key := t.exact, strings.ToLower(host)
	if suffix, found := strings.CutPrefix(key, "*."); found {
		sites, key = t.wildcards, suffix
	}
	if sites[key] == nil {
		sites[key] = &site{}
	}
	return sites[key]
}

// add puts a route where it is to be tried, unless one with the same path is there, which it returns.
func (s *site) add(r *route) *route {
	for _, other := range s.routes {
		if other.path.same(r.path) {
			return other
		}
	}
	at := len(s.routes)
	for i, other := range s.routes {
		if r.path.before(other.path) {
			at = i
			break
		}
	}
	s.routes = slices.Insert(s.routes, at, r)
	return nil
}

// find returns the route of a request, nil if there is none. A host that is declared exactly has no other's routes; the
// star of a wildcard stands for one label.
func (t *table) find(host, path string) *route {
	site := t.serving(host)
	path = canonicalPath(path)
	for _, r := range site.routes {
		if r.path.matches(path) {
			return r
		}
	}
	if site.fallback != nil {
		return site.fallback
	}
	return t.rest.fallback
}

// serving returns the site of a request's host.
func (t *table) serving(host string) *site {
	host = hostname(host)
	if s := t.exact[host]; s != nil {
		return s
	}
	if _, suffix, found := strings.Cut(host, "."); found && t.wildcards[suffix] != nil {
		return t.wildcards[suffix]
	}
	return t.rest
}

// knows tells whether a host was declared, exactly or by a wildcard.
func (t *table) knows(host string) bool { return t.serving(host) != t.rest }

// certificate returns the Secret's for a host, nil if there is none.
func (t *table) certificate(host string) *tls.Certificate {
	host = hostname(host)
	if c := t.certificates[host]; c != nil {
		return c
	}
	if _, suffix, found := strings.Cut(host, "."); found {
		return t.certificates["*."+suffix]
	}
	return nil
}

// hostname is a request's host without its port, as tables have it.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]") // of an IPv6 address
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// hosts are those that were declared, sorted.
func (t *table) hosts() (all []string) {
	for host := range t.exact {
		all = append(all, host)
	}
	for suffix := range t.wildcards {
		all = append(all, "*."+suffix)
	}
	slices.Sort(all)
	return all
}
