package verdict

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// target is where a URL leads.
type target struct {
	scheme string
	host   string // as it stands in the URL, without a port
	port   string // a number or a name; "" is the scheme's
	rest   string // path and query
}

// parseTarget reads a URL whose port may be a name, which net/url refuses.
func parseTarget(text string) (t target, m *mistake) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || scheme != "http" && scheme != "https" {
		return t, wrong("url", "must begin with http:// or https://, got %q", text)
	}
	authority := rest
	if n := strings.IndexAny(rest, "/?#"); n >= 0 {
		authority, t.rest = rest[:n], rest[n:]
	}
	t.scheme, t.host = scheme, authority
	if n := strings.LastIndexByte(authority, ':'); n >= 0 && !strings.HasSuffix(authority, "]") {
		t.host, t.port = authority[:n], authority[n+1:]
		if t.port == "" {
			return t, wrong("url", "%q has no port behind its colon", text)
		}
	}
	t.host = strings.Trim(t.host, "[]")
	switch {
	case t.host == "":
		return t, wrong("url", "%q names no host", text)
	case strings.Contains(authority, "@"):
		return t, wrong("url", "%q has a user in it: use a header", text)
	}
	if _, err := url.Parse(t.url("1")); err != nil {
		return t, wrong("url", "%q is no URL", text)
	}
	return t, nil
}

// url is the URL with a port by number; "" leaves it out.
func (t target) url(port string) string {
	host := t.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host = host + ":" + port
	}
	return t.scheme + "://" + host + t.rest
}

// number is the port, if it is not a name.
func (t target) number() (int32, bool) {
	switch {
	case t.port != "":
		n, err := strconv.ParseUint(t.port, 10, 16)
		return int32(n), err == nil && n > 0
	case t.scheme == "https":
		return 443, true
	}
	return 80, true
}

// local tells of a host that is an address, or this machine.
func (t target) local() bool {
	_, err := netip.ParseAddr(t.host)
	return err == nil || t.host == "localhost"
}

// inCluster reads NAME, NAME.NAMESPACE, NAME.NAMESPACE.svc and NAME.NAMESPACE.svc.cluster.local, or the same with pod.
func (t target) inCluster(usual string) (kind, namespace, name string) {
	parts := strings.Split(strings.TrimSuffix(strings.TrimSuffix(t.host, "."), ".cluster.local"), ".")
	switch {
	case len(parts) == 1:
		return "svc", usual, parts[0]
	case len(parts) == 2:
		return "svc", parts[1], parts[0]
	case parts[len(parts)-1] == "svc" && len(parts) == 3:
		return "svc", parts[1], parts[0]
	case parts[len(parts)-1] == "pod":
		return "pod", parts[len(parts)-2], strings.Join(parts[:len(parts)-2], ".")
	}
	return "", "", ""
}

// address joins a host and a port.
func address(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
