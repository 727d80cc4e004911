package router

import (
	"context"
	"fmt"
	"sync"
)

// redirections are the ports of Services, "namespace/name:port", whose requests go to one address, "host:port", in place of
// the endpoints. The zero value has none.
type redirections struct {
	mu  sync.Mutex // guards all
	all map[string]string
}

// Redirect has new requests to a port of a Service, by its name there, go to an address, until the same is asked for with
// "". It returns when that is so, or with the error of ctx, and then it will be.
func (r *Router) Redirect(ctx context.Context, namespace, service, port, to string) error {
	name := namespace + "/" + service
	r.backends.redirected.set(name+":"+port, to)
	applied := make(chan struct{})
	r.watch.mark(changes{services: map[string]bool{name: true}, waiting: []chan struct{}{applied}})
	select {
	case <-applied:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("router: redirecting %s:%s: %w", name, port, ctx.Err())
	}
}

func (r *redirections) set(port, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to == "" {
		delete(r.all, port)
		return
	}
	if r.all == nil {
		r.all = map[string]string{}
	}
	r.all[port] = to
}

// of is where requests to a port of a Service go; "" to its endpoints.
func (r *redirections) of(namespace, service, port string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[namespace+"/"+service+":"+port]
}
