package router

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// filters are what a rule or a backend does with requests and answers beside leading them.
type filters struct {
	request, response []headerEdit
	redirect          *redirect
	rewrite           *urlRewrite
	mirrors           []mirror
	cors              *cors
}

// headerEdit changes headers: what it sets replaces, what it adds is added, what it removes goes.
type headerEdit struct {
	set, add []gatewayv1.HTTPHeader
	remove   []string
}

func applyEdits(edits []headerEdit, to http.Header) {
	for _, e := range edits {
		for _, h := range e.set {
			to.Set(string(h.Name), h.Value)
		}
		for _, h := range e.add {
			to.Add(string(h.Name), h.Value)
		}
		for _, name := range e.remove {
			to.Del(name)
		}
	}
}

// change does with a request to a pod what the filters say.
func (f *filters) change(out *http.Request, m *requestMatch) {
	applyEdits(f.request, out.Header)
	for _, e := range f.request {
		for _, h := range e.set {
			if strings.EqualFold(string(h.Name), "Host") {
				out.Host = h.Value
			}
		}
	}
	if f.rewrite == nil {
		return
	}
	out.Host = cmp.Or(f.rewrite.host, out.Host)
	if f.rewrite.path != nil {
		f.rewrite.path.apply(out.URL, m)
	}
}

// urlRewrite changes the URL that a pod sees.
type urlRewrite struct {
	host string // "": as it came
	path *pathChange
}

// pathChange replaces all of a path, or the prefix that matched.
type pathChange struct {
	full   bool
	target string
}

func newPathChange(m *gatewayv1.HTTPPathModifier) *pathChange {
	switch {
	case m == nil:
		return nil
	case m.Type == gatewayv1.FullPathHTTPPathModifier && m.ReplaceFullPath != nil:
		return &pathChange{full: true, target: *m.ReplaceFullPath}
	case m.Type == gatewayv1.PrefixMatchHTTPPathModifier && m.ReplacePrefixMatch != nil:
		return &pathChange{target: *m.ReplacePrefixMatch}
	default:
		return nil
	}
}

// apply changes the path of u. A prefix is replaced by whole elements, with one slash between what replaces it and the rest.
func (c *pathChange) apply(u *url.URL, m *requestMatch) {
	path := c.target
	if !c.full {
		prefix := ""
		if m != nil && m.path.kind == prefixPath {
			prefix = m.path.text
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(canonicalPath(u.Path), prefix), "/")
		path = strings.TrimSuffix(c.target, "/")
		if rest != "" || path == "" {
			path += "/" + rest
		}
	}
	u.Path, u.RawPath = path, ""
}

// redirect answers with another URL.
type redirect struct {
	scheme, host string // "": as it came
	path         *pathChange
	port         uint16 // 0: that of the scheme, or the listener's
	code         int
}

func (r *redirect) answer(w http.ResponseWriter, req *http.Request, m *requestMatch) {
	to := *req.URL
	to.Scheme = "http"
	if req.TLS != nil {
		to.Scheme = "https"
	}
	if r.path != nil {
		r.path.apply(&to, m)
	}
	port := r.port
	switch {
	case port != 0:
	case r.scheme != "": // its usual port
	default:
		port = localPort(req)
	}
	to.Scheme = cmp.Or(r.scheme, to.Scheme)
	host := cmp.Or(r.host, hostname(req.Host))
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	to.Host = host
	if usual := map[string]uint16{"http": httpPort, "https": httpsPort}[to.Scheme]; port != 0 && port != usual {
		to.Host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(int(port)))
	}
	w.Header().Set("Location", to.String())
	w.WriteHeader(r.code)
}

// localPort is the port to which a request came.
func localPort(req *http.Request) uint16 {
	if local, ok := req.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return uint16(local.Port)
	}
	return 0
}
