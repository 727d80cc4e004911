package router

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
)

// Options configure a Router. Certificate is required.
type Options struct {
	// Ports are taken when New is called, which fails where they cannot be had. The zero value: 80 and 443, or the next
	// pair that is free, from the first Ingress on until the last one goes.
	Ports Ports
	// Addresses are the ranges of this machine's addresses at which other machines are answered. Default: none, localhost
	// alone is served.
	Addresses []netip.Prefix
	// Certificate signs a certificate for a host, or for an IP address.
	Certificate func(host string) (*tls.Certificate, error)
	// Config connects to the API for Gateway API. Nil: it is not served.
	Config *rest.Config
	// Recorder takes the events on Ingresses. Nil: no events.
	Recorder record.EventRecorder
	// Log defaults to slog.Default().
	Log *slog.Logger
}

// Router leads HTTP requests on localhost to pods. Make it with New, then call Run once.
type Router struct {
	opts   Options
	log    *slog.Logger
	watch  *watcher
	report *reporter
	issuer *issuer

	ready chan struct{}

	// candidates are the ports to try, those of before first; tests have others.
	candidates func(before Ports) []Ports

	// Each is swapped by the goroutine of Run that follows the objects and never changed in place.
	table atomic.Pointer[table]
	ports atomic.Pointer[Ports] // never nil

	// What follows belongs to that goroutine.
	backends *backends
	secrets  *secretCertificates
	bound    *listeners // from New until Run serves them
	serving  *server    // nil: nothing is
	sockets  *gatewaySockets

	kinds   *gatewayKinds  // nil: Gateway API is not served
	mirrors sync.WaitGroup // copies of requests under way
}

// New registers with the informers, which may be started before or after, and takes the ports of opts.
func New(client kubernetes.Interface, shared informers.SharedInformerFactory, opts Options) (*Router, error) {
	if opts.Certificate == nil {
		return nil, errors.New("router: nobody signs certificates")
	}
	r := &Router{opts: opts, log: cmp.Or(opts.Log, slog.Default()), issuer: newIssuer(opts.Certificate), candidates: candidates, ready: make(chan struct{})}
	r.table.Store(newTable())
	r.ports.Store(&Ports{})
	var err error
	if r.watch, err = newWatcher(shared); err != nil {
		return nil, err
	}
	r.backends = &backends{services: r.watch.services, slices: r.watch.slices, all: map[backendKey]*backend{}}
	r.secrets = &secretCertificates{secrets: r.watch.secrets, used: map[string]parsedCertificate{}}
	r.report = newReporter(client, r.watch, opts.Recorder, r.log)
	r.sockets = &gatewaySockets{router: r, open: map[netip.AddrPort]*gatewaySocket{}}
	if opts.Config != nil {
		if r.kinds, err = newGatewayKinds(opts.Config, func() { r.watch.markRoutes(nil) }); err != nil {
			r.watch.stop()
			return nil, fmt.Errorf("router: %w", err)
		}
		r.report.gateways = r.kinds.client
	}
	if opts.Ports == (Ports{}) {
		return r, nil
	}
	addresses, err := localAddresses(opts.Addresses)
	if err == nil {
		r.bound, err = listenAt(opts.Ports, addresses)
	}
	if err != nil {
		r.watch.stop()
		return nil, err
	}
	return r, nil
}

// begin serves the sockets.
func (r *Router) begin(l *listeners) {
	r.serving = r.serve(l)
	r.ports.Store(&l.ports)
	r.report.listening(l.ports, l.addresses)
}

// Ready is closed when the IngressClass is there, so that the first Ingress finds it.
func (r *Router) Ready() <-chan struct{} { return r.ready }

// Run serves Ingresses until ctx ends, then waits for all it started and returns nil. It returns earlier where the
// IngressClass cannot be made.
func (r *Router) Run(ctx context.Context) error {
	defer r.end()
	defer r.watch.stop()
	if r.bound != nil {
		r.begin(r.bound)
	}
	if _, err := ensureClass(ctx, r.report.client); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("router: %w", err)
	}
	close(r.ready)
	if !r.watch.awaitSync(ctx) {
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { r.follow(ctx); return nil })
	group.Go(func() error { r.report.run(ctx); return nil })
	if r.kinds != nil {
		group.Go(func() error { return r.kinds.run(ctx) })
	}
	return group.Wait()
}

// end lets go of the ports and of the connections to pods.
func (r *Router) end() {
	if r.serving != nil {
		r.serving.close()
		r.serving = nil
	}
	r.sockets.close()
	r.mirrors.Wait()
	r.backends.retain(nil)
}
