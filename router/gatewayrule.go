package router

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// gatewayRule is what becomes of the requests of one rule of a route.
type gatewayRule struct {
	owner   string // for messages, such as "HTTPRoute default/web"
	filters filters
	timeout time.Duration // 0: none
	// backends are where requests go, each as often as its weight says.
	backends []weighted
	running  *sync.WaitGroup // copies of requests under way
}

// weighted is a backend of a rule with its share. One that cannot be served has a problem and no backend.
type weighted struct {
	weight  int
	backend *backend
	handler http.Handler
	problem string
}

// choose picks a backend at random by weight; nil if there is none.
func choose(all []weighted) *weighted {
	total := 0
	for _, w := range all {
		total += w.weight
	}
	if total == 0 {
		return nil
	}
	at := rand.IntN(total)
	for i := range all {
		if at -= all[i].weight; at < 0 {
			return &all[i]
		}
	}
	return nil
}

// matchKey is that of the match by which a request was led to its rule, for filters that replace the prefix that matched.
type matchKey struct{}

// serve does what the rule says with a request that m matches.
func (g *gatewayRule) serve(w http.ResponseWriter, req *http.Request, m *requestMatch) {
	if g.filters.cors != nil {
		if g.filters.cors.preflight(w, req) {
			return
		}
		w = &corsWriter{ResponseWriter: w, cors: g.filters.cors, origin: req.Header.Get("Origin")}
	}
	if g.filters.redirect != nil {
		g.filters.redirect.answer(w, req, m)
		return
	}
	to := choose(g.backends)
	switch {
	case to == nil:
		fail(w, http.StatusInternalServerError, g.owner+": the rule has no backend")
		return
	case to.problem != "":
		fail(w, http.StatusInternalServerError, fmt.Sprintf("%s: %s", g.owner, to.problem))
		return
	}
	ctx := context.WithValue(req.Context(), matchKey{}, m)
	if g.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.timeout)
		defer cancel()
	}
	req = req.WithContext(ctx)
	done := g.filters.mirror(req, g, m)
	_ = http.NewResponseController(w).EnableFullDuplex() // as ServeHTTP says
	to.handler.ServeHTTP(w, req)
	done()
}

// newGatewayHandler passes the requests of a rule on to one of its backends, which may have filters of its own.
func newGatewayHandler(g *gatewayRule, to *backend, own filters, log *slog.Logger) http.Handler {
	r := &route{owner: g.owner, backend: to}
	proxy := newHandler(r, log).(*httputil.ReverseProxy)
	proxy.Rewrite = func(p *httputil.ProxyRequest) {
		r.rewriteRequest(p)
		m, _ := p.In.Context().Value(matchKey{}).(*requestMatch)
		g.filters.change(p.Out, m)
		own.change(p.Out, m)
	}
	if len(g.filters.response)+len(own.response) > 0 {
		proxy.ModifyResponse = func(response *http.Response) error {
			applyEdits(g.filters.response, response.Header)
			applyEdits(own.response, response.Header)
			return nil
		}
	}
	return proxy
}
