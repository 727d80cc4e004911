package dns

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// sliceIndex finds the EndpointSlices of a Service, "namespace/name".
const sliceIndex = "kube-lite/dns/service"

// kind says which objects a key means.
type kind string

const (
	kindService   kind = "Service"
	kindNamespace kind = "Namespace"
)

// key names one object to look at again.
type key struct {
	kind            kind
	namespace, name string
}

// watcher keeps the snapshot equal to what the informers know. Events only mark
// what to look at again; what is there is read when the work is done.
type watcher struct {
	domain     string
	services   corelisters.ServiceLister
	slices     cache.Indexer
	namespaces corelisters.NamespaceLister

	current *atomic.Pointer[snapshot]

	handlers []handler
	synced   chan struct{} // closed when the first snapshot is there
	dirty    dirtyKeys
}

// handler is one registration with an informer.
type handler struct {
	informer cache.SharedIndexInformer
	cache.ResourceEventHandlerRegistration
}

func newWatcher(domain string, services coreinformers.ServiceInformer, slices discoveryinformers.EndpointSliceInformer,
	namespaces coreinformers.NamespaceInformer, current *atomic.Pointer[snapshot]) (*watcher, error) {
	w := &watcher{
		domain: domain, current: current, synced: make(chan struct{}),
		services: services.Lister(), slices: slices.Informer().GetIndexer(),
		namespaces: namespaces.Lister(),
		dirty:      dirtyKeys{keys: map[key]bool{}, wake: make(chan struct{}, 1)},
	}
	if w.slices.GetIndexers()[sliceIndex] == nil {
		if err := slices.Informer().AddIndexers(cache.Indexers{sliceIndex: byService}); err != nil {
			return nil, fmt.Errorf("dns: index EndpointSlices by Service: %w", err)
		}
	}
	for kind, informer := range map[kind]cache.SharedIndexInformer{
		kindService: services.Informer(), kindNamespace: namespaces.Informer(),
	} {
		if err := w.handle(informer, func(obj any) { w.mark(kind, obj) }); err != nil {
			return nil, fmt.Errorf("dns: watch %ss: %w", kind, err)
		}
	}
	if err := w.handle(slices.Informer(), w.markSlice); err != nil {
		return nil, fmt.Errorf("dns: watch EndpointSlices: %w", err)
	}
	return w, nil
}

// handle calls changed for every object that comes, changes (as it was and as it
// is) or goes.
func (w *watcher) handle(informer cache.SharedIndexInformer, changed func(obj any)) error {
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(old, new any) { changed(old); changed(new) },
		DeleteFunc: changed,
	})
	if err != nil {
		w.stop()
		return err
	}
	w.handlers = append(w.handlers, handler{informer, registration})
	return nil
}

func (w *watcher) mark(kind kind, obj any) {
	name, err := cache.DeletionHandlingObjectToName(obj)
	if err == nil {
		w.dirty.add(key{kind, name.Namespace, name.Name})
	}
}

func (w *watcher) markSlice(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if slice, ok := obj.(*discoveryv1.EndpointSlice); ok && slice.Labels[discoveryv1.LabelServiceName] != "" {
		w.dirty.add(key{kindService, slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]})
	}
}

func byService(obj any) ([]string, error) {
	slice, ok := obj.(*discoveryv1.EndpointSlice)
	if !ok || slice.Labels[discoveryv1.LabelServiceName] == "" {
		return nil, nil
	}
	return []string{slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]}, nil
}

// stop leaves the informers alone.
func (w *watcher) stop() {
	for _, h := range w.handlers {
		// An error says that it was removed before.
		_ = h.informer.RemoveEventHandler(h.ResourceEventHandlerRegistration)
	}
}

// run publishes a first snapshot when all is synced, and the next one whenever
// something changed, until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	for _, h := range w.handlers {
		select {
		case <-ctx.Done():
			return nil
		case <-h.HasSyncedChecker().Done():
		}
	}
	w.update(w.dirty.take())
	close(w.synced)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.dirty.wake:
			w.update(w.dirty.take())
		}
	}
}

// update looks at the marked objects and publishes what they are now.
func (w *watcher) update(keys map[key]bool) {
	old := w.current.Load()
	if len(keys) == 0 && old.complete {
		return
	}
	e := old.edit()
	for k := range keys {
		switch k.kind {
		case kindService:
			e.setService(k.namespace, k.name, w.service(k))
		case kindNamespace:
			w.updateNamespace(e, k)
		}
	}
	if len(e.copied) > 0 || !old.complete {
		w.current.Store(e.publish())
	}
}

// service computes the records of a Service; nil when it is gone.
func (w *watcher) service(k key) *service {
	svc, err := w.services.Services(k.namespace).Get(k.name)
	if err != nil {
		return nil // listers know no other error than "not found"
	}
	var found []*discoveryv1.EndpointSlice
	if svc.Spec.ClusterIP == corev1.ClusterIPNone {
		objects, _ := w.slices.ByIndex(sliceIndex, k.namespace+"/"+k.name)
		for _, obj := range objects {
			found = append(found, obj.(*discoveryv1.EndpointSlice))
		}
		slices.SortFunc(found, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	}
	return newService(w.domain, svc, found)
}

func (w *watcher) updateNamespace(e *edition, k key) {
	_, err := w.namespaces.Get(k.name)
	declared := !apierrors.IsNotFound(err)
	if ns := e.next.namespaces[k.name]; declared != (ns != nil && ns.declared) {
		e.namespace(k.name).declared = declared
	}
}

// dirtyKeys gathers keys until someone takes them all.
type dirtyKeys struct {
	mu   sync.Mutex // guards keys
	keys map[key]bool
	wake chan struct{}
}

func (d *dirtyKeys) add(k key) {
	d.mu.Lock()
	d.keys[k] = true
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default: // a waker is under way
	}
}

func (d *dirtyKeys) take() map[key]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.keys
	d.keys = map[key]bool{}
	return taken
}
