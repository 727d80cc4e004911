package netproxy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ServicePort names a port of TCP by its Service and its name there.
type ServicePort struct {
	types.NamespacedName
	Port string
}

// String is namespace/name:port.
func (p ServicePort) String() string { return p.NamespacedName.String() + ":" + p.Port }

// Redirection leads new connections to a port of a Service elsewhere than to its endpoints, whichever way the Service is
// called. Connections that exist are left alone. Pods and EndpointSlices stay as they are, and a Service that is deleted and
// made again is led there too.
type Redirection struct {
	Of ServicePort
	// To is where the connections of each IP family go, one address of each. A family without one keeps its endpoints.
	To []netip.AddrPort
	// Endpoints is called with those that the Service has itself, those of IPv4 first, before the kernel leads anything
	// elsewhere and whenever they may have changed. It must not block.
	Endpoints func([]netip.AddrPort)
}

// redirections are those of now. The zero value has none.
type redirections struct {
	mu  sync.Mutex // guards what follows
	all map[ServicePort]Redirection
	// waiting are closed when a pass that begins later has succeeded.
	waiting []chan struct{}
}

// Redirect returns when the kernel leads new connections where r says. An error is that of ctx, and nothing is redirected then.
func (p *Proxy) Redirect(ctx context.Context, r Redirection) error {
	p.redirections.mu.Lock()
	if p.redirections.all == nil {
		p.redirections.all = map[ServicePort]Redirection{}
	}
	p.redirections.all[r.Of] = r
	p.redirections.mu.Unlock()
	if err := p.awaitPass(ctx, r.Of); err != nil {
		p.redirections.remove(r.Of)
		p.changedRedirection(r.Of)
		return fmt.Errorf("netproxy: redirecting %s: %w", r.Of, err)
	}
	return nil
}

// Restore ends a redirection. It returns when the kernel leads new connections to the endpoints again, or with the error of
// ctx, and then the kernel does so later.
func (p *Proxy) Restore(ctx context.Context, of ServicePort) error {
	p.redirections.remove(of)
	if err := p.awaitPass(ctx, of); err != nil {
		return fmt.Errorf("netproxy: restoring %s: %w", of, err)
	}
	return nil
}

// awaitPass has the Service observed, and returns when the kernel has what was found.
func (p *Proxy) awaitPass(ctx context.Context, of ServicePort) error {
	applied := make(chan struct{})
	p.pending.addService(of.NamespacedName) // before a pass can take the channel
	p.redirections.mu.Lock()
	p.redirections.waiting = append(p.redirections.waiting, applied)
	p.redirections.mu.Unlock()
	signal(p.objectsChanged)
	select {
	case <-applied:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Proxy) changedRedirection(of ServicePort) {
	p.pending.addService(of.NamespacedName)
	signal(p.objectsChanged)
}

func (r *redirections) remove(of ServicePort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, of)
}

// take returns who waits for the pass that begins.
func (r *redirections) take() (waiting []chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting, r.waiting = r.waiting, nil
	return waiting
}

// finish lets those go on who waited for a pass, or has them wait for the next one.
func (r *redirections) finish(waiting []chan struct{}, err error) {
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiting = append(r.waiting, waiting...)
		return
	}
	for _, applied := range waiting {
		close(applied)
	}
}

// of are the redirections of a Service.
func (r *redirections) of(name types.NamespacedName) (found []Redirection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		if one.Of.NamespacedName == name {
			found = append(found, one)
		}
	}
	return found
}

// redirect leads the ports of a Service elsewhere, those of one redirection.
func (r Redirection) redirect(ports []servicePort) {
	var endpoints []netip.AddrPort
	for i := range ports {
		sp := &ports[i]
		if sp.PortName != r.Of.Port || sp.Protocol != corev1.ProtocolTCP {
			continue
		}
		endpoints = append(endpoints, sp.inside()...)
		at := slices.IndexFunc(r.To, func(to netip.AddrPort) bool { return familyOf(to.Addr()) == familyOf(sp.ClusterIP) })
		if at >= 0 {
			sp.Internal = []netip.AddrPort{r.To[at]}
			sp.External, sp.ByNode, sp.InternalByNode = sp.Internal, nil, nil
		}
	}
	if r.Endpoints != nil {
		r.Endpoints(endpoints)
	}
}
