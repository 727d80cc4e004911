package router

import (
	"context"
	"fmt"
	"slices"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// gatewayKinds follow the objects of Gateway API while their kinds are defined. Nothing but the definitions is watched
// before: they come with the first object.
type gatewayKinds struct {
	client      rest.Interface // of gateway.networking.k8s.io/v1
	definitions cache.SharedIndexInformer
	changed     func()

	mu      sync.Mutex // guards running
	running map[string]*gatewayKind
	all     sync.WaitGroup // informers that run
}

// gatewayKind is the informer of one kind.
type gatewayKind struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
}

// gatewayResources are the kinds that are followed.
var gatewayResources = map[string]runtime.Object{
	"gatewayclasses":  &gatewayv1.GatewayClass{},
	"gateways":        &gatewayv1.Gateway{},
	"httproutes":      &gatewayv1.HTTPRoute{},
	"grpcroutes":      &gatewayv1.GRPCRoute{},
	"tlsroutes":       &gatewayv1.TLSRoute{},
	"referencegrants": &gatewayv1.ReferenceGrant{},
}

func newGatewayKinds(config *rest.Config, changed func()) (*gatewayKinds, error) {
	client, err := clientOf(config, schema.GroupVersion(gatewayv1.GroupVersion), gatewayv1.Install)
	if err != nil {
		return nil, err
	}
	extensions, err := clientOf(config, apiextensionsv1.SchemeGroupVersion, apiextensionsv1.AddToScheme)
	if err != nil {
		return nil, err
	}
	k := &gatewayKinds{client: client, changed: changed, running: map[string]*gatewayKind{}}
	k.definitions = cache.NewSharedIndexInformer(
		cache.NewListWatchFromClient(extensions, "customresourcedefinitions", "", fields.Everything()),
		&apiextensionsv1.CustomResourceDefinition{}, 0, cache.Indexers{})
	return k, k.definitions.SetTransform(withoutSchema)
}

// clientOf is a client of one group and version that speaks JSON, as custom resources do.
func clientOf(config *rest.Config, version schema.GroupVersion, install func(*runtime.Scheme) error) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := install(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, version)
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &version, "/apis"
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", version, err)
	}
	return client, nil
}

// withoutSchema leaves of a definition what tells whether a kind is served. Schemas are most of what it weighs.
func withoutSchema(obj any) (any, error) {
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return obj, nil
	}
	short := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: crd.Name, UID: crd.UID, ResourceVersion: crd.ResourceVersion}}
	short.Spec.Group = crd.Spec.Group
	for _, v := range crd.Spec.Versions {
		short.Spec.Versions = append(short.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{Name: v.Name, Served: v.Served})
	}
	short.Status.Conditions = crd.Status.Conditions
	return short, nil
}

// run follows until ctx ends.
func (k *gatewayKinds) run(ctx context.Context) error {
	look := func(any) { k.follow(ctx) }
	_, err := k.definitions.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: look, UpdateFunc: func(_, new any) { look(new) }, DeleteFunc: look,
	})
	if err != nil {
		return fmt.Errorf("follow definitions: %w", err)
	}
	k.definitions.RunWithContext(ctx)
	k.all.Wait()
	return nil
}

// follow begins to follow the kinds that are defined, and forgets the others.
func (k *gatewayKinds) follow(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for resource, example := range gatewayResources {
		defined, known := k.defined(resource), k.running[resource]
		switch {
		case defined && known == nil && ctx.Err() == nil:
			k.running[resource] = k.start(ctx, resource, example)
		case !defined && known != nil:
			known.stop()
			delete(k.running, resource)
			k.changed()
		}
	}
}

// defined tells whether version v1 of a resource is served.
func (k *gatewayKinds) defined(resource string) bool {
	obj, found, _ := k.definitions.GetStore().GetByKey(resource + "." + gatewayv1.GroupName)
	if !found {
		return false
	}
	crd := obj.(*apiextensionsv1.CustomResourceDefinition)
	established := slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
	return established && slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == gatewayv1.GroupVersion.Version && v.Served
	})
}

func (k *gatewayKinds) start(ctx context.Context, resource string, example runtime.Object) *gatewayKind {
	ctx, stop := context.WithCancel(ctx)
	informer := cache.NewSharedIndexInformer(cache.NewListWatchFromClient(k.client, resource, "", fields.Everything()), example, 0, cache.Indexers{})
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { k.changed() }, UpdateFunc: func(_, _ any) { k.changed() }, DeleteFunc: func(any) { k.changed() },
	})
	k.all.Go(func() { informer.RunWithContext(ctx) })
	if err == nil {
		k.all.Go(func() { // also where there are no objects
			select {
			case <-registration.HasSyncedChecker().Done():
				k.changed()
			case <-ctx.Done():
			}
		})
	}
	return &gatewayKind{informer: informer, stop: stop}
}

// objects are all that there are; false while some kind that is defined has not been listed, or none is.
func (k *gatewayKinds) objects() (gatewayObjects, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var o gatewayObjects
	for _, kind := range k.running {
		if !kind.informer.HasSynced() {
			return o, false
		}
	}
	o.classes = listed[*gatewayv1.GatewayClass](k.running["gatewayclasses"])
	o.gateways = listed[*gatewayv1.Gateway](k.running["gateways"])
	o.http = listed[*gatewayv1.HTTPRoute](k.running["httproutes"])
	o.grpc = listed[*gatewayv1.GRPCRoute](k.running["grpcroutes"])
	o.tls = listed[*gatewayv1.TLSRoute](k.running["tlsroutes"])
	o.grants = listed[*gatewayv1.ReferenceGrant](k.running["referencegrants"])
	return o, k.running["gatewayclasses"] != nil && k.running["gateways"] != nil
}

func listed[T any](kind *gatewayKind) (all []T) {
	if kind == nil {
		return nil
	}
	for _, obj := range kind.informer.GetStore().List() {
		all = append(all, obj.(T))
	}
	return all
}

// gatewayObjects are the objects of Gateway API.
type gatewayObjects struct {
	classes  []*gatewayv1.GatewayClass
	gateways []*gatewayv1.Gateway
	http     []*gatewayv1.HTTPRoute
	grpc     []*gatewayv1.GRPCRoute
	tls      []*gatewayv1.TLSRoute
	grants   []*gatewayv1.ReferenceGrant
}
