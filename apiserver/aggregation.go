package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/tools/cache"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	aggregatorinformers "k8s.io/kube-aggregator/pkg/client/informers/externalversions"
	aggregatoropenapi "k8s.io/kube-aggregator/pkg/generated/openapi"
)

// aggregation has other servers answer for the API groups that an APIService leads to them. Upstream's aggregator stands
// in front of the server then. It is built when the first such APIService appears, since each of its six work queues is
// looked at twice a second; until then APIServices are objects that say which groups this server has.
// https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
type aggregation struct {
	server    *Server
	config    genericapiserver.Config // of the server of built-in kinds, before it was completed
	services  *apiServices
	informers aggregatorinformers.SharedInformerFactory
	changed   chan struct{} // of capacity 1: APIServices or kinds have changed
	ready     chan struct{} // closed when those of other servers are answered for
	built     atomic.Pointer[aggregator.APIAggregator]
}

func (s *Server) newAggregation(c genericapiserver.Config) (*aggregation, error) {
	client, err := clientset.NewForConfig(s.loopback)
	if err != nil {
		return nil, fmt.Errorf("apiserver: client of APIServices: %w", err)
	}
	a := &aggregation{
		server: s, config: c, services: newAPIServices(s.cfg.Store),
		informers: aggregatorinformers.NewSharedInformerFactory(client, 0),
		changed:   make(chan struct{}, 1), ready: make(chan struct{}),
	}
	_, err = a.registered().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { notify(a.changed) }, UpdateFunc: func(_, _ any) { notify(a.changed) }, DeleteFunc: func(any) { notify(a.changed) },
	})
	if err != nil {
		return nil, fmt.Errorf("apiserver: follow APIServices: %w", err)
	}
	return a, nil
}

func (a *aggregation) registered() cache.SharedIndexInformer {
	return a.informers.Apiregistration().V1().APIServices().Informer()
}

// chain is the chain of filters, with the aggregator behind it as soon as there is one.
func (a *aggregation) chain(local http.Handler, c *genericapiserver.Config) http.Handler {
	return handlerChain(a.server.custom.gateway.offer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if built := a.built.Load(); built != nil && (r.URL.Path == "/apis" || strings.HasPrefix(r.URL.Path, "/apis/")) {
			built.GenericAPIServer.UnprotectedHandler().ServeHTTP(w, r)
			return
		}
		local.ServeHTTP(w, r)
	})), c)
}

// run keeps the APIServices of this server's own groups, and builds the aggregator when it is wanted.
func (a *aggregation) run(ctx context.Context) {
	a.informers.Start(ctx.Done())
	defer a.shutdown()
	if !cache.WaitFor(ctx, "", a.registered().HasSyncedChecker()) {
		return
	}
	select {
	case <-a.server.custom.ready:
	case <-ctx.Done():
		return
	}
	for first := true; ; {
		err := a.ensureBuilt(ctx)
		if err == nil && first {
			first = false
			close(a.ready)
		}
		late := 0
		if err == nil {
			late, err = a.services.register(ctx, a.server.ownGroups(), a.serves)
		}
		var retry <-chan time.Time
		if late > 0 {
			retry = time.After(removalInterval)
		}
		if err != nil && ctx.Err() == nil {
			a.server.cfg.Log.Warn("APIServices are not up to date", "error", err)
			retry = time.After(lateRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		case <-retry:
		}
	}
}

// removalInterval is how often the aggregator is looked at while it still serves an APIService that is gone.
const removalInterval = 50 * time.Millisecond

// serves tells whether the aggregator leads a group somewhere. When an APIService is deleted and another is there under its name before the
// aggregator has looked, it takes that for a change, and of a change from another server to this one it keeps the other's kinds in discovery.
func (a *aggregation) serves(gv schema.GroupVersion) bool {
	built := a.built.Load()
	return built != nil && slices.Contains(built.GenericAPIServer.Handler.NonGoRestfulMux.ListedPaths(), "/apis/"+gv.Group+"/"+gv.Version)
}

// shutdown waits for the informers, whose context has ended.
func (a *aggregation) shutdown() {
	a.informers.Shutdown()
	if built := a.built.Load(); built != nil {
		built.APIRegistrationInformers.Shutdown()
	}
}

// remote are the APIServices that lead to other servers.
func (a *aggregation) remote() (remote []*apiregistrationv1.APIService) {
	all, _ := a.informers.Apiregistration().V1().APIServices().Lister().List(labels.Everything()) // the lister of an informer does not fail
	for _, s := range all {
		if s.Spec.Service != nil {
			remote = append(remote, s)
		}
	}
	return remote
}

func (a *aggregation) ensureBuilt(ctx context.Context) error {
	if a.built.Load() != nil || len(a.remote()) == 0 {
		return nil
	}
	built, err := a.build()
	if err != nil {
		return fmt.Errorf("build the aggregator: %w", err)
	}
	if _, err := built.PrepareRun(); err != nil {
		return fmt.Errorf("prepare the aggregator: %w", err)
	}
	if err := runBehind(ctx, built.GenericAPIServer); err != nil {
		return err
	}
	a.built.Store(built)
	return nil
}

// build composes the aggregator. What is not another server's it passes on to this one, behind all filters: its own are
// empty. Its OpenAPI documents are those of other servers only (see remoteAPI).
func (a *aggregation) build() (*aggregator.APIAggregator, error) {
	c, err := behind(a.config)
	if err != nil {
		return nil, err
	}
	namer := openapinamer.NewDefinitionNamer(aggregatorscheme.Scheme)
	c.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(aggregatoropenapi.GetOpenAPIDefinitions, namer)
	c.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(aggregatoropenapi.GetOpenAPIDefinitions, namer)
	c.RESTOptionsGetter = aggregatorOptions(a.server.cfg.Store)
	c.MergedResourceConfig = aggregator.DefaultAPIResourceConfigSource()
	cert, key := a.server.cfg.PKI.frontProxyFiles()
	config := aggregator.Config{
		GenericConfig: &genericapiserver.RecommendedConfig{Config: c, SharedInformerFactory: a.server.late},
		ExtraConfig: aggregator.ExtraConfig{
			ProxyClientCertFile:       cert,
			ProxyClientKeyFile:        key,
			ServiceResolver:           a.server.services,
			RejectForwardingRedirects: true,
		},
	}
	local := a.server.generic.UnprotectedHandler()
	return config.Complete().NewWithDelegate(genericapiserver.NewEmptyDelegateWithCustomHandler(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/openapi/") {
				http.NotFound(w, r) // it would keep these documents
				return
			}
			local.ServeHTTP(w, r)
		})))
}
