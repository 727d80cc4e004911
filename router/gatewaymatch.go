package router

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// valueMatch is what a rule says of one header or one query parameter.
type valueMatch struct {
	name       string
	value      string
	expression *regexp.Regexp // nil: the value is to be the same
}

func (m valueMatch) matches(value string) bool {
	if m.expression != nil {
		return m.expression.MatchString(value)
	}
	return value == m.value
}

// requestMatch is what a rule of a route says of requests, all of which has to hold.
// https://gateway-api.sigs.k8s.io/reference/spec/#httproutematch
type requestMatch struct {
	path    pathMatch
	method  string // "": any
	headers []valueMatch
	queries []valueMatch
}

func (m *requestMatch) matches(req *http.Request, path string, query url.Values) bool {
	if !m.path.matches(path) || m.method != "" && m.method != req.Method {
		return false
	}
	for _, h := range m.headers {
		values := req.Header.Values(h.name)
		if strings.EqualFold(h.name, "Host") {
			values = []string{req.Host}
		}
		if len(values) == 0 || !h.matches(strings.Join(values, ",")) {
			return false
		}
	}
	for _, q := range m.queries {
		if values := query[q.name]; len(values) == 0 || !q.matches(values[0]) {
			return false
		}
	}
	return true
}

// compare is negative if m takes precedence over n: exact paths, then expressions, then the longer prefix; then methods,
// then more headers, then more query parameters.
func (m *requestMatch) compare(n *requestMatch) int {
	return cmp.Or(
		cmp.Compare(m.path.rank(), n.path.rank()),
		cmp.Compare(len(n.path.text), len(m.path.text)),
		cmp.Compare(flag(n.method != ""), flag(m.method != "")),
		cmp.Compare(len(n.headers), len(m.headers)),
		cmp.Compare(len(n.queries), len(m.queries)))
}

// rank orders kinds of paths for Gateway API.
func (p pathMatch) rank() int {
	return slices.Index([]pathKind{exactPath, expressionPath, prefixPath}, p.kind)
}

func flag(is bool) int {
	if is {
		return 1
	}
	return 0
}

// hostPattern is a host as listeners and routes declare it: exact, "*." and a suffix, or "" for all.
type hostPattern string

// matches compares with a host as hostname has it. The star stands for one label or more.
func (p hostPattern) matches(host string) bool {
	suffix, wild := strings.CutPrefix(string(p), "*")
	return p == "" || wild && strings.HasSuffix(host, suffix) && len(host) > len(suffix) || string(p) == host
}

// compare is negative if p is more specific than q.
func (p hostPattern) compare(q hostPattern) int {
	return cmp.Or(cmp.Compare(p.class(), q.class()), cmp.Compare(len(q), len(p)))
}

func (p hostPattern) class() int {
	switch {
	case p == "":
		return 2
	case p[0] == '*':
		return 1
	default:
		return 0
	}
}

// intersect is what both stand for; false if nothing.
func (p hostPattern) intersect(q hostPattern) (hostPattern, bool) {
	if q.compare(p) < 0 {
		p, q = q, p
	}
	switch {
	case p == q, q == "":
		return p, true
	case q[0] != '*':
		return "", false
	case p[0] == '*':
		return p, strings.HasSuffix(string(p[1:]), string(q[1:]))
	default:
		return p, q.matches(string(p))
	}
}
