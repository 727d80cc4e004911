package router

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// cors answers for the pods who may use their answers in a browser.
// https://fetch.spec.whatwg.org/#http-cors-protocol
type cors struct {
	origins, methods, headers []string
	expose                    string
	credentials               bool
	maxAge                    int
}

func newCORS(f *gatewayv1.HTTPCORSFilter) *cors {
	c := &cors{credentials: f.AllowCredentials != nil && *f.AllowCredentials, maxAge: int(f.MaxAge)}
	for _, o := range f.AllowOrigins {
		c.origins = append(c.origins, strings.ToLower(string(o)))
	}
	for _, m := range f.AllowMethods {
		c.methods = append(c.methods, string(m))
	}
	for _, h := range f.AllowHeaders {
		c.headers = append(c.headers, string(h))
	}
	var expose []string
	for _, h := range f.ExposeHeaders {
		expose = append(expose, string(h))
	}
	c.expose = strings.Join(expose, ", ")
	return c
}

// allows tells whether an origin is in the list. The star stands for a part of any length.
func (c *cors) allows(origin string) bool {
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(c.origins, func(o string) bool {
		before, after, wild := strings.Cut(o, "*")
		return o == origin || wild && len(origin) >= len(before)+len(after) && strings.HasPrefix(origin, before) && strings.HasSuffix(origin, after)
	})
}

// preflight answers the question of a browser whether it may send a request. It tells whether there was one.
func (c *cors) preflight(w http.ResponseWriter, req *http.Request) bool {
	method := req.Header.Get("Access-Control-Request-Method")
	if req.Method != http.MethodOptions || method == "" {
		return false
	}
	if origin := req.Header.Get("Origin"); c.allows(origin) {
		c.apply(w.Header(), origin)
		setList(w.Header(), "Access-Control-Allow-Methods", c.methods, method)
		setList(w.Header(), "Access-Control-Allow-Headers", c.headers, req.Header.Get("Access-Control-Request-Headers"))
		if c.maxAge > 0 {
			w.Header().Set("Access-Control-Max-Age", strconv.Itoa(c.maxAge))
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// setList sets a header to what is allowed; to what is asked for if all is.
func setList(to http.Header, name string, allowed []string, asked string) {
	text := strings.Join(allowed, ", ")
	if slices.Contains(allowed, "*") {
		text = asked
	}
	if text != "" {
		to.Set(name, text)
	}
}

// apply sets the headers of every answer for an origin that is allowed.
func (c *cors) apply(to http.Header, origin string) {
	to.Set("Access-Control-Allow-Origin", origin)
	to.Add("Vary", "Origin")
	if c.credentials {
		to.Set("Access-Control-Allow-Credentials", "true")
	}
	if c.expose != "" {
		to.Set("Access-Control-Expose-Headers", c.expose)
	}
}

// corsWriter replaces what a pod says of origins.
type corsWriter struct {
	http.ResponseWriter
	cors   *cors
	origin string
	begun  bool
}

// WriteHeader is http.ResponseWriter's.
func (w *corsWriter) WriteHeader(code int) {
	if !w.begun && code >= http.StatusOK {
		w.begun = true
		for _, name := range []string{"Allow-Origin", "Allow-Credentials", "Expose-Headers", "Allow-Methods", "Allow-Headers", "Max-Age"} {
			w.Header().Del("Access-Control-" + name)
		}
		if w.origin != "" && w.cors.allows(w.origin) {
			w.cors.apply(w.Header(), w.origin)
		}
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write is http.ResponseWriter's.
func (w *corsWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *corsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
