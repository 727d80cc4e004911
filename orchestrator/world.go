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
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/controller-manager/pkg/informerfactory"
)

// world is what loops are built from.
type world struct {
	config    *rest.Config
	client    kubernetes.Interface
	metadata  metadata.Interface
	mapper    meta.ResettableRESTMapper
	scales    scale.ScalesGetter
	informers informers.SharedInformerFactory
	// objects has an informer for every kind: the shared one of built-in kinds, one of metadata for the others.
	objects informerfactory.InformerFactory
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
	objects, err := metadata.NewForConfig(metadata.ConfigFor(o.config))
	if err != nil {
		return nil, fmt.Errorf("metadata client of the controllers: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	scales, err := scale.NewForConfig(o.config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(client.Discovery()))
	if err != nil {
		return nil, fmt.Errorf("scale client of the controllers: %w", err)
	}
	return &world{
		config: o.config, client: client, metadata: objects, mapper: mapper, scales: scales, informers: o.informers,
		objects: informerfactory.NewInformerFactory(o.informers, metadatainformer.NewSharedInformerFactory(objects, 0)),
		started: make(chan struct{}), building: &sync.Mutex{}, opts: o.opts,
	}, nil
}

// behindGate is the same world for a controller that is built while informers run.
func (w *world) behindGate() (*world, *gate) {
	g := &gate{SharedInformerFactory: w.informers}
	late := *w
	late.informers = g
	return &late, g
}
