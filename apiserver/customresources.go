package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	extensionsopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/notfoundhandler"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"github.com/kube-lite/kube-lite/store"
)

// definitionsResource is that of the kinds that users define.
var definitionsResource = apiextensionsv1.Resource("customresourcedefinitions")

// customResources serves the kinds that users define. Upstream's server of them is built when the store has the first
// CustomResourceDefinition, since each of its six work queues is looked at twice a second; the definitions themselves are
// one more group of the server of built-in kinds.
// https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/
type customResources struct {
	server  *Server
	config  genericapiserver.Config // of the server of built-in kinds, before it was completed
	changed func()                  // called whenever what the definitions describe changes; set before run
	created chan struct{}           // of capacity 1: a definition may have come
	ready   chan struct{}           // closed when those that were stored at the start are served
	built   atomic.Pointer[extensions.CustomResourceDefinitions]
	// registry is that of the definitions.
	registry *customresourcedefinition.REST
	gateway  *gatewayAPI
}

func (s *Server) newCustomResources(c genericapiserver.Config) *customResources {
	custom := &customResources{server: s, config: c, created: make(chan struct{}, 1), ready: make(chan struct{})}
	custom.gateway = newGatewayAPI(custom)
	return custom
}

// options are those of CustomResourceDefinitions.
func (c *customResources) options() restOptions {
	return restOptions{store: c.server.cfg.Store, scheme: extensions.Scheme, codecs: extensions.Codecs}
}

// group serves CustomResourceDefinitions.
func (c *customResources) group() (*genericapiserver.APIGroupInfo, error) {
	registry, err := customresourcedefinition.NewREST(extensions.Scheme, c.options())
	if err != nil {
		return nil, fmt.Errorf("apiserver: compose CustomResourceDefinitions: %w", err)
	}
	c.registry = registry
	registry.AfterCreate = func(runtime.Object, *metav1.CreateOptions) { notify(c.created) }
	version, resource := apiextensionsv1.SchemeGroupVersion, definitionsResource.Resource
	group := genericapiserver.NewDefaultAPIGroupInfo(version.Group, extensions.Scheme, metav1.ParameterCodec, extensions.Codecs)
	group.PrioritizedVersions = []schema.GroupVersion{version}
	group.VersionedResourcesStorageMap[version.Version] = map[string]rest.Storage{
		resource:             registry,
		resource + "/status": customresourcedefinition.NewStatusREST(extensions.Scheme, registry),
	}
	return &group, nil
}

// delegate answers what the server of built-in kinds does not know.
func (c *customResources) delegate() genericapiserver.DelegationTarget {
	unknown := notfoundhandler.New(legacyscheme.Codecs, genericapifilters.NoMuxAndDiscoveryIncompleteKey)
	return genericapiserver.NewEmptyDelegateWithCustomHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.gateway.wants(r) {
			if err := c.gateway.ensure(r.Context()); err != nil {
				responsewriters.ErrorNegotiated(apierrors.NewInternalError(err), legacyscheme.Codecs, schema.GroupVersion{Version: "v1"}, w, r)
				return
			}
		}
		if built := c.built.Load(); built != nil {
			built.GenericAPIServer.UnprotectedHandler().ServeHTTP(w, r)
			return
		}
		unknown.ServeHTTP(w, r)
	}))
}

// run has the kinds served as soon as there are any, until ctx ends.
func (c *customResources) run(ctx context.Context) {
	ready := sync.OnceFunc(func() { close(c.ready) })
	for {
		var again <-chan time.Time
		if err := c.ensureServed(ctx); err == nil {
			ready()
		} else if ctx.Err() == nil {
			c.server.cfg.Log.Warn("custom resources are not served", "error", err)
			again = time.After(lateRetry)
		}
		select {
		case <-c.created:
		case <-again:
		case <-ctx.Done():
			if built := c.built.Load(); built != nil {
				built.Informers.Shutdown()
				built.GenericAPIServer.Destroy()
			}
			return
		}
	}
}

func (c *customResources) ensureServed(ctx context.Context) error {
	if c.built.Load() != nil || !c.server.holds([]schema.GroupResource{definitionsResource}) {
		return nil
	}
	built, err := c.build()
	if err != nil {
		return fmt.Errorf("build the server of custom resources: %w", err)
	}
	c.built.Store(built) // before its controllers say that a definition is established: its kind is served then
	// Each of the controllers would look only ten times a second whether the definitions have been listed.
	built.Informers.Start(ctx.Done())
	if !cache.WaitFor(ctx, "", built.Informers.Apiextensions().V1().CustomResourceDefinitions().Informer().HasSyncedChecker()) {
		return ctx.Err()
	}
	return runBehind(ctx, built.GenericAPIServer)
}

// build composes upstream's server, over the same registry of definitions.
func (c *customResources) build() (*extensions.CustomResourceDefinitions, error) {
	settings, err := behind(c.config)
	if err != nil {
		return nil, err
	}
	namer := openapinamer.NewDefinitionNamer(extensions.Scheme)
	settings.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(extensionsopenapi.GetOpenAPIDefinitions, namer)
	settings.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(extensionsopenapi.GetOpenAPIDefinitions, namer)
	settings.RESTOptionsGetter = c.options()
	settings.MergedResourceConfig = serverstorage.NewResourceConfig()
	settings.MergedResourceConfig.EnableVersions(apiextensionsv1.SchemeGroupVersion)
	config := extensions.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: settings, SharedInformerFactory: c.server.late},
		ExtraConfig: extensions.ExtraConfig{
			CRDRESTOptionsGetter: customOptions{c.server.cfg.Store},
			MasterCount:          1,
			ServiceResolver:      c.server.services,
			AuthResolverWrapper:  webhook.NewDefaultAuthenticationInfoResolverWrapper(nil, nil, c.server.loopback, nil),
		},
	}
	server, err := config.Complete().New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	informer := server.Informers.Apiextensions().V1().CustomResourceDefinitions().Informer()
	if err := informer.SetTransform(establishedEarlier); err != nil {
		return nil, err
	}
	server.GenericAPIServer.PrepareRun()
	return server, c.follow(informer)
}

// follow has changed called.
func (c *customResources) follow(informer cache.SharedIndexInformer) error {
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { c.changed() },
		UpdateFunc: func(before, after any) {
			was, is := before.(*apiextensionsv1.CustomResourceDefinition), after.(*apiextensionsv1.CustomResourceDefinition)
			if was.UID != is.UID || was.Generation != is.Generation || !slices.Equal(servedVersions(was), servedVersions(is)) {
				c.changed()
			}
		},
		DeleteFunc: func(any) { c.changed() },
	})
	return err
}

// definitions are the kinds that users define, in the order of their names.
func (c *customResources) definitions() []*apiextensionsv1.CustomResourceDefinition {
	built := c.built.Load()
	if built == nil {
		return nil
	}
	all, _ := built.Informers.Apiextensions().V1().CustomResourceDefinitions().Lister().List(labels.Everything()) // the lister of an informer does not fail
	slices.SortFunc(all, func(a, b *apiextensionsv1.CustomResourceDefinition) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// agreement is how long upstream holds the first objects of a new kind back: until every other API server of the cluster
// knows the kind.
const agreement = 2 * time.Second

// establishedEarlier takes that wait away, as there is no other server: to the handlers, a CustomResourceDefinition was
// established that much earlier.
func establishedEarlier(obj any) (any, error) {
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return obj, nil
	}
	past := metav1.NewTime(time.Now().Add(-agreement))
	for n := range crd.Status.Conditions {
		c := &crd.Status.Conditions[n]
		if c.Type == apiextensionsv1.Established && past.Before(&c.LastTransitionTime) {
			c.LastTransitionTime = past
		}
	}
	return crd, nil
}

// customOptions tells the registries of custom resources where their objects live: as JSON, in the version that the
// definition says, which the registries add to the codec.
type customOptions struct{ store *store.Store }

// GetRESTOptions is generic.RESTOptionsGetter.
func (o customOptions) GetRESTOptions(r schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	return generic.RESTOptions{
		StorageConfig:           (&storagebackend.Config{Codec: unstructured.UnstructuredJSONScheme}).ForResource(r),
		Decorator:               o.store.Decorator(),
		ResourcePrefix:          "/" + r.Resource + suffix(r.Group),
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: deleteWorkers,
	}, nil
}

// servedVersions are the versions of an established definition that clients can use.
func servedVersions(crd *apiextensionsv1.CustomResourceDefinition) (versions []string) {
	established := slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	})
	for _, v := range crd.Spec.Versions {
		if established && v.Served {
			versions = append(versions, v.Name)
		}
	}
	return versions
}
