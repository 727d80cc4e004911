package orchestrator

import (
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
)

// world is what loops are built from. The client and its config are the loop's own, see of; the rest is shared.
type world struct {
	config    *rest.Config
	client    kubernetes.Interface
	manager   kubernetes.Interface // kube-controller-manager's own, for informers of one loop
	users     map[string]string    // as which loops connect, by their names
	mapper    meta.ResettableRESTMapper
	informers informers.SharedInformerFactory
	objects   *monitors
	// started is closed when the informers that the loops asked for have been started.
	started chan struct{}
	// building is held by who builds a loop while informers run.
	building *sync.Mutex
	opts     Options
}

func newWorld(o *Orchestrator) (*world, error) {
	client, err := kubernetes.NewForConfig(o.config)
	if err != nil {
		return nil, fmt.Errorf("client of the controllers: %w", err)
	}
	w := &world{
		config: o.config, client: client, manager: client, users: users(), informers: o.informers, opts: o.opts,
		mapper:  restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery())),
		started: make(chan struct{}), building: &sync.Mutex{},
	}
	objects, err := w.metadata()
	if err != nil {
		return nil, err
	}
	w.objects = newMonitors(o.informers, objects)
	return w, nil
}

// metadata is a client of objects of any kind.
func (w *world) metadata() (metadata.Interface, error) {
	objects, err := metadata.NewForConfig(metadata.ConfigFor(w.config))
	if err != nil {
		return nil, fmt.Errorf("metadata client: %w", err)
	}
	return objects, nil
}

// scales is a client of the scale subresource of any kind.
func (w *world) scales() (scale.ScalesGetter, error) {
	scales, err := scale.NewForConfig(w.config, w.mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(w.client.Discovery()))
	if err != nil {
		return nil, fmt.Errorf("scale client: %w", err)
	}
	return scales, nil
}

// behindGate is the same world for a controller that is built while informers run.
func (w *world) behindGate() (*world, *gate) {
	g := &gate{SharedInformerFactory: w.informers}
	late := *w
	late.informers = g
	return &late, g
}
