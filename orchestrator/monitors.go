package orchestrator

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
)

var _ informerfactory.InformerFactory = (*monitors)(nil)

// monitors have an informer for every kind, as upstream's garbage collector and quota controller ask for them: the shared
// one of a built-in kind, one of metadata for the others. Upstream's own factory never stops an informer, so that of a
// kind that is gone would ask for it, and say in the log that it is not there, until the daemon ends. Here one runs as long
// as somebody monitors its kind.
type monitors struct {
	builtin informers.SharedInformerFactory
	client  metadata.Interface

	mu    sync.Mutex // guards what follows, and what the kinds hold
	kinds map[schema.GroupVersionResource]*monitoredKind
	gone  []func() // called when a kind turns out to be gone
}

// monitoredKind is the informer that all monitors of a kind share.
type monitoredKind struct {
	informers.GenericInformer
	users int    // monitors that run
	stop  func() // returns when the informer has ended
}

func newMonitors(builtin informers.SharedInformerFactory, client metadata.Interface) *monitors {
	return &monitors{builtin: builtin, client: client, kinds: map[schema.GroupVersionResource]*monitoredKind{}}
}

// Start implements informerfactory.InformerFactory. Monitors run by themselves.
func (m *monitors) Start(stop <-chan struct{}) { m.builtin.Start(stop) }

// ForResource implements informerfactory.InformerFactory.
func (m *monitors) ForResource(kind schema.GroupVersionResource) (informers.GenericInformer, error) {
	if shared, err := m.builtin.ForResource(kind); err == nil {
		return shared, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	current := m.kinds[kind]
	if current == nil {
		current = m.newKind(kind)
	}
	return &monitor{SharedIndexInformer: current.Informer(), of: m, kind: kind, shared: current}, nil
}

// onGone has f called when a kind that is monitored turns out to be gone.
func (m *monitors) onGone(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = append(m.gone, f)
}

func (m *monitors) newKind(kind schema.GroupVersionResource) *monitoredKind {
	byNamespace := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	k := &monitoredKind{GenericInformer: metadatainformer.NewFilteredMetadataInformer(m.client, kind, metav1.NamespaceAll, 0, byNamespace, nil)}
	_ = k.Informer().SetWatchErrorHandlerWithContext(m.failed) // only an informer that runs refuses
	return k
}

// failed hears of requests of informers that fail. That a kind is gone is no error: whoever monitors it looks which kinds
// there are, and stops.
func (m *monitors) failed(ctx context.Context, r *cache.Reflector, err error) {
	if ctx.Err() != nil {
		return // nobody monitors the kind any longer
	}
	if !apierrors.IsNotFound(err) {
		cache.DefaultWatchErrorHandler(ctx, r, err)
		return
	}
	klog.FromContext(ctx).V(4).Info("a kind is gone", "err", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, notify := range m.gone {
		notify()
	}
}

// announce keeps the informer of a kind for a monitor that will run.
func (m *monitors) announce(w *monitor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kinds[w.kind] == nil && !w.shared.Informer().IsStopped() {
		m.kinds[w.kind] = w.shared
	}
}

// watch has handler called until stop, and the informer of the kind run meanwhile. It returns how that stops.
func (m *monitors) watch(kind schema.GroupVersionResource, handler cache.ResourceEventHandler, resync time.Duration) (cache.ResourceEventHandlerRegistration, func(), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.kinds[kind]
	if k == nil {
		k = m.newKind(kind) // the monitor that had it has stopped since this one was made
		m.kinds[kind] = k
	}
	registration, err := k.Informer().AddEventHandlerWithResyncPeriod(handler, resync)
	if err != nil {
		return nil, nil, err
	}
	if k.users++; k.users == 1 {
		k.run()
	}
	return registration, func() {
		_ = k.Informer().RemoveEventHandler(registration) // it was made here
		m.mu.Lock()
		last := k.users == 1
		if k.users--; last {
			delete(m.kinds, kind)
		}
		m.mu.Unlock()
		if last {
			k.stop()
		}
	}, nil
}

func (k *monitoredKind) run() {
	ctx, cancel := context.WithCancel(context.Background()) // not one monitor's: it ends with the last
	var running sync.WaitGroup
	running.Go(func() { k.Informer().RunWithContext(ctx) })
	k.stop = func() {
		cancel()
		running.Wait()
	}
}

// monitor is what one who asked for a kind holds: its informer to add a handler to, and the controller that upstream runs
// until the kind is gone. What is not said here is that of the informer.
type monitor struct {
	cache.SharedIndexInformer
	of      *monitors
	kind    schema.GroupVersionResource
	shared  *monitoredKind // when this was made
	handler cache.ResourceEventHandler
	resync  time.Duration

	mu         sync.Mutex // guards what follows
	registered cache.ResourceEventHandlerRegistration
}

// Informer implements informers.GenericInformer.
func (m *monitor) Informer() cache.SharedIndexInformer { return m }

// Lister implements informers.GenericInformer.
func (m *monitor) Lister() cache.GenericLister { return m.shared.Lister() }

// GetController returns what delivers events to the handler while it runs.
func (m *monitor) GetController() cache.Controller { return m }

// AddEventHandler takes the handler of this monitor.
func (m *monitor) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return m.AddEventHandlerWithResyncPeriod(handler, 0)
}

// AddEventHandlerWithResyncPeriod takes the handler of this monitor.
func (m *monitor) AddEventHandlerWithResyncPeriod(handler cache.ResourceEventHandler, resync time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	m.handler, m.resync = handler, resync
	m.of.announce(m)
	return m, nil
}

// Run delivers events until stop is closed.
func (m *monitor) Run(stop <-chan struct{}) {
	registered, end, err := m.of.watch(m.kind, m.handler, m.resync)
	if err != nil {
		klog.Background().Error(err, "a kind is not monitored", "kind", m.kind.String())
		<-stop
		return
	}
	m.mu.Lock()
	m.registered = registered
	m.mu.Unlock()
	<-stop
	end()
}

// RunWithContext is Run.
func (m *monitor) RunWithContext(ctx context.Context) { m.Run(ctx.Done()) }

// HasSynced tells whether the handler has seen all objects, or of a monitor without one, whether the lister has them. That
// of a kind that nobody monitors has none: there are none.
func (m *monitor) HasSynced() bool {
	m.mu.Lock()
	registered := m.registered
	m.mu.Unlock()
	switch {
	case registered != nil:
		return registered.HasSynced()
	case m.handler != nil:
		return false
	}
	m.of.mu.Lock()
	defer m.of.mu.Unlock()
	return m.of.kinds[m.kind] == nil || m.SharedIndexInformer.HasSynced()
}
