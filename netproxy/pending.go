package netproxy

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// pending names what changed since it was last read. A pass costs what is in here, not what exists.
type pending struct {
	mu       sync.Mutex // guards what follows
	services map[types.NamespacedName]bool
	hosts    bool // ports of this machine
	nodes    bool
}

func (p *pending) addService(name types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.services == nil {
		p.services = map[types.NamespacedName]bool{}
	}
	p.services[name] = true
}

func (p *pending) addHosts() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts = true
}

func (p *pending) addNodes() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodes = true
}

// takeNodes tells whether nodes came, changed or went.
func (p *pending) takeNodes() (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed, p.nodes = p.nodes, false
	return changed
}

// take returns what else is pending, and begins anew.
func (p *pending) take() (services map[types.NamespacedName]bool, hosts bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	services, hosts = p.services, p.hosts
	p.services, p.hosts = nil, false
	return services, hosts
}

// objectHandler notes the Service that a Service or an EndpointSlice is about.
func (p *Proxy) objectHandler() cache.ResourceEventHandler {
	one := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		switch o := obj.(type) {
		case *corev1.Service:
			p.pending.addService(types.NamespacedName{Namespace: o.Namespace, Name: o.Name})
		case *discoveryv1.EndpointSlice:
			p.pending.addService(ownerOf(o))
		}
		signal(p.objectsChanged)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: one, DeleteFunc: one,
		UpdateFunc: func(before, after any) { // a slice may get another owner
			one(before)
			one(after)
		},
	}
}

// ownerOf is the Service that a slice belongs to.
func ownerOf(s *discoveryv1.EndpointSlice) types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
}

// sliceIndex finds the slices of a Service in their informer.
const sliceIndex = "netproxy/service"

// indexSlices adds the index, which another Proxy may have added to the same informer.
func indexSlices(informer cache.SharedIndexInformer) error {
	if _, there := informer.GetIndexer().GetIndexers()[sliceIndex]; there {
		return nil
	}
	return informer.AddIndexers(cache.Indexers{sliceIndex: func(obj any) ([]string, error) {
		if s, ok := obj.(*discoveryv1.EndpointSlice); ok {
			return []string{ownerOf(s).String()}, nil
		}
		return nil, nil
	}})
}
