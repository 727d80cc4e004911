package router

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
)

// watcher gathers what has changed. Events only mark what to look at again; what is there is read when the work is done.
type watcher struct {
	ingresses networkinglisters.IngressLister
	classes   networkinglisters.IngressClassLister
	services  corelisters.ServiceLister
	slices    cache.Indexer
	secrets   corelisters.SecretLister
	// namespaces are those whose labels Gateways select by.
	namespaces corelisters.NamespaceLister

	handlers []handler

	mu      sync.Mutex // guards changed
	changed changes
	wake    chan struct{} // holds one token: that something changed
}

// changes are what to look at again.
type changes struct {
	routes   bool            // all that routes are made of
	services map[string]bool // where these lead, "namespace/name"
	waiting  []chan struct{} // closed when that is done
}

// handler is one registration with an informer.
type handler struct {
	informer cache.SharedIndexInformer
	cache.ResourceEventHandlerRegistration
}

func newWatcher(shared informers.SharedInformerFactory) (*watcher, error) {
	core, networking, slices := shared.Core().V1(), shared.Networking().V1(), shared.Discovery().V1().EndpointSlices().Informer()
	w := &watcher{
		ingresses: networking.Ingresses().Lister(), classes: networking.IngressClasses().Lister(),
		services: core.Services().Lister(), slices: slices.GetIndexer(), secrets: core.Secrets().Lister(), namespaces: core.Namespaces().Lister(),
		changed: changes{routes: true, services: map[string]bool{}}, wake: make(chan struct{}, 1),
	}
	if w.slices.GetIndexers()[sliceIndex] == nil {
		byService := func(obj any) ([]string, error) {
			if slice, ok := obj.(*discoveryv1.EndpointSlice); ok && serviceOf(slice) != "" {
				return []string{serviceOf(slice)}, nil
			}
			return nil, nil
		}
		if err := slices.AddIndexers(cache.Indexers{sliceIndex: byService}); err != nil {
			return nil, fmt.Errorf("router: index EndpointSlices by Service: %w", err)
		}
	}
	for _, source := range []struct {
		informer cache.SharedIndexInformer
		changed  func(obj any)
	}{
		{networking.Ingresses().Informer(), w.markRoutes},
		{networking.IngressClasses().Informer(), w.markRoutes},
		{core.Namespaces().Informer(), w.markRoutes},
		{core.Secrets().Informer(), w.markSecret},
		{core.Services().Informer(), w.markService},
		{slices, w.markService},
	} {
		if err := w.handle(source.informer, source.changed); err != nil {
			w.stop()
			return nil, fmt.Errorf("router: follow objects: %w", err)
		}
	}
	return w, nil
}

// handle calls changed for every object that comes, changes (as it was and as it is) or goes.
func (w *watcher) handle(informer cache.SharedIndexInformer, changed func(obj any)) error {
	known := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		changed(obj)
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: known, UpdateFunc: func(old, new any) { known(old); known(new) }, DeleteFunc: known,
	})
	if err == nil {
		w.handlers = append(w.handlers, handler{informer, registration})
	}
	return err
}

func (w *watcher) markRoutes(any) { w.mark(changes{routes: true}) }

// markSecret marks the routes if the Secret could be a certificate's.
func (w *watcher) markSecret(obj any) {
	if secret, ok := obj.(*corev1.Secret); ok && secret.Data[corev1.TLSCertKey] != nil {
		w.mark(changes{routes: true})
	}
}

func (w *watcher) markService(obj any) {
	switch o := obj.(type) {
	case *corev1.Service:
		w.mark(changes{services: map[string]bool{o.Namespace + "/" + o.Name: true}})
	case *discoveryv1.EndpointSlice:
		w.mark(changes{services: map[string]bool{serviceOf(o): true}})
	}
}

func (w *watcher) mark(c changes) {
	w.mu.Lock()
	w.changed.routes = w.changed.routes || c.routes
	for name := range c.services {
		w.changed.services[name] = true
	}
	w.changed.waiting = append(w.changed.waiting, c.waiting...)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // a token is there
	}
}

func (w *watcher) take() changes {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.changed
	w.changed = changes{services: map[string]bool{}}
	return taken
}

// awaitSync returns when the informers know all there is, false if ctx ended before.
func (w *watcher) awaitSync(ctx context.Context) bool {
	for _, h := range w.handlers {
		select {
		case <-ctx.Done():
			return false
		case <-h.HasSyncedChecker().Done():
		}
	}
	return true
}

// stop leaves the informers alone.
func (w *watcher) stop() {
	for _, h := range w.handlers {
		_ = h.informer.RemoveEventHandler(h.ResourceEventHandlerRegistration) // an error says that it was removed before
	}
}

// listenRetry is the pause before ports are tried again that could not be had.
const listenRetry = 10 * time.Second

// follow keeps the table as the objects declare, until ctx ends.
func (r *Router) follow(ctx context.Context) {
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	said := "" // a port that somebody else has is news once
	for {
		changed := r.watch.take()
		err := r.pass(changed)
		for _, applied := range changed.waiting {
			close(applied)
		}
		if err != nil {
			retry.Reset(listenRetry)
			if err.Error() != said {
				said = err.Error()
				r.log.Error("cannot serve all Ingresses and Gateways; retrying", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-r.watch.wake:
		case <-retry.C:
			r.watch.mark(changes{routes: true})
		}
	}
}

// pass brings up to date what has changed. Endpoints come first: requests wait for nothing else.
func (r *Router) pass(c changes) error {
	if r.backends.refresh(c.services) {
		c.routes = true
	}
	if !c.routes {
		return nil
	}
	all, err := r.watch.ingresses.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list Ingresses: %w", err)
	}
	var ours []*networkingv1.Ingress
	for _, ingress := range all {
		if r.watch.isOurs(ingress) {
			ours = append(ours, ingress)
		}
	}
	t := translation{table: newTable(), backend: r.backends.get, certificate: r.secrets.get, log: r.log}
	t.translate(ours)
	gateways := r.translateGateways()
	wanted := len(ours) > 0
	if gateways != nil {
		maps.Copy(t.used, gateways.used)
		wanted = wanted || wantsPair(gateways.all)
	}
	failed := []error{r.listen(wanted), r.serveGateways(gateways, t.table)}
	r.table.Store(t.table)
	r.backends.retain(t.used)
	r.secrets.retain()
	r.report.update(ours, t.problems)
	return errors.Join(failed...)
}

// listen takes the ports when there is something to serve, and lets go of them when there is nothing any more. Those that
// were asked for are kept.
func (r *Router) listen(wanted bool) error {
	if r.opts.Ports != (Ports{}) || wanted == (r.serving != nil) {
		return nil
	}
	if !wanted {
		r.serving.close()
		r.serving = nil
		r.ports.Store(&Ports{})
		r.report.listening(Ports{}, nil)
		return nil
	}
	addresses, err := localAddresses(r.opts.Addresses)
	if err != nil {
		return err
	}
	l, err := listenFirst(r.candidates(r.watch.portsBefore()), addresses)
	if err != nil {
		return err
	}
	r.begin(l)
	return nil
}
