package dashboard

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// guard refuses what does not come from the page: requests under other names than this machine's (a name that was bound anew to a
// loopback address), and those that other origins make.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'") // the page has another
		header.Set("Cache-Control", "no-store")
		switch {
		case !isLoopback(req.Host):
			fail(w, http.StatusMisdirectedRequest, "this page is served as 127.0.0.1 or localhost only")
		case !sameOrigin(req):
			fail(w, http.StatusForbidden, "another site's request")
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// isLoopback tells whether a Host header names this machine. The port may be another one's, which leads here: ssh -L.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// sameOrigin tells whether a request that says where it comes from does so from this page.
func sameOrigin(req *http.Request) bool {
	origin := req.Header.Get("Origin")
	if origin == "" {
		site := req.Header.Get("Sec-Fetch-Site")
		return site == "" || site == "same-origin" || site == "none" || req.Method == http.MethodGet && req.URL.Path == "/" // a link to it
	}
	from, err := url.Parse(origin)
	return err == nil && from.Scheme == "http" && strings.EqualFold(from.Host, req.Host)
}

// fail answers with an error in the page's form.
func fail(w http.ResponseWriter, code int, message string) {
	answer(w, code, map[string]string{"message": message})
}

func answer(w http.ResponseWriter, code int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(what) // the client is gone if it fails
}
