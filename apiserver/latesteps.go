package apiserver

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	webhookinit "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/restmapper"
	"k8s.io/component-base/tracing"
)

// cachesLimit is how long the first request that meets a webhook or a policy waits for what these read.
const cachesLimit = 10 * time.Second

// lateSteps builds the steps of the admission chain that most instances have no use for, above all webhooks and
// policies that users register, and quotas. They cost megabytes (CEL), a handful of watches and two looks a second: each is
// built when the first object that it reads is in the store. Its informers are the late ones.
type lateSteps struct {
	holds      func(resources []schema.GroupResource) bool
	initialize admission.PluginInitializers
	informers  informers.SharedInformerFactory
	stop       <-chan struct{}
}

func (s *Server) lateSteps(c *genericapiserver.Config, upstreams admission.PluginInitializer) (*lateSteps, error) {
	objects, err := dynamic.NewForConfig(s.loopback)
	if err != nil {
		return nil, fmt.Errorf("apiserver: dynamic client: %w", err)
	}
	e := &lateSteps{
		holds:     s.holds,
		informers: s.late,
		stop:      s.follow.Done(),
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.client.Discovery()))
	e.initialize = admission.PluginInitializers{
		initializer.New(s.client, objects, e.informers, c.Authorization.Authorizer, utilfeature.DefaultFeatureGate,
			c.EffectiveVersion, e.stop, freshMapper{mapper}),
		upstreams,
		webhookinit.NewPluginInitializer(webhook.NewDefaultAuthenticationInfoResolverWrapper(
			nil, nil, s.loopback, tracing.NewNoopTracerProvider()), s.services),
	}
	return e, nil
}

// register puts a step in the chain that is built on its first use.
func (e *lateSteps) register(plugins *admission.Plugins, p admissionPlugin) {
	plugins.Register(p.name, func(config io.Reader) (admission.Interface, error) {
		return &onFirstUse{
			wanted: func() bool { return e.holds(p.reads) },
			build: func() (admission.Interface, error) {
				one := admission.NewPlugins()
				p.register(one)
				return e.build(one, p.name, config)
			},
		}, nil
	})
}

// build makes a step that can judge requests at once.
func (e *lateSteps) build(plugins *admission.Plugins, name string, config io.Reader) (admission.Interface, error) {
	step, err := plugins.InitPlugin(name, config, e.initialize)
	if err != nil {
		return nil, err
	}
	e.informers.Start(e.stop)
	limit := make(chan struct{})
	timer := time.AfterFunc(cachesLimit, func() { close(limit) })
	defer timer.Stop()
	for kind, synced := range e.informers.WaitForCacheSync(limit) {
		if !synced {
			return nil, fmt.Errorf("admission plugin %s: %v not listed within %v", name, kind, cachesLimit)
		}
	}
	return step, nil
}

// onFirstUse is a step of the admission chain that does nothing until there is something to do for it.
type onFirstUse struct {
	wanted func() bool
	build  func() (admission.Interface, error)

	building sync.Mutex
	built    atomic.Pointer[admission.Interface]
}

// Handles is admission.Interface's.
func (o *onFirstUse) Handles(operation admission.Operation) bool {
	if step := o.built.Load(); step != nil {
		return (*step).Handles(operation)
	}
	return o.wanted()
}

// Admit is admission.MutationInterface's.
func (o *onFirstUse) Admit(ctx context.Context, a admission.Attributes, i admission.ObjectInterfaces) error {
	step, err := o.step(a)
	if mutation, ok := step.(admission.MutationInterface); ok && mutation.Handles(a.GetOperation()) {
		return mutation.Admit(ctx, a, i)
	}
	return err
}

// Validate is admission.ValidationInterface's.
func (o *onFirstUse) Validate(ctx context.Context, a admission.Attributes, i admission.ObjectInterfaces) error {
	step, err := o.step(a)
	if validation, ok := step.(admission.ValidationInterface); ok && validation.Handles(a.GetOperation()) {
		return validation.Validate(ctx, a, i)
	}
	return err
}

// step builds the step if nobody did yet. A request that fails to do so is refused as upstream's steps refuse while
// their caches are empty: nobody knows what they would have said.
func (o *onFirstUse) step(a admission.Attributes) (admission.Interface, error) {
	if step := o.built.Load(); step != nil {
		return *step, nil
	}
	o.building.Lock()
	defer o.building.Unlock()
	if step := o.built.Load(); step != nil {
		return *step, nil
	}
	step, err := o.build()
	if err != nil {
		return nil, admission.NewForbidden(a, fmt.Errorf("not yet ready to handle request: %w", err))
	}
	o.built.Store(&step)
	return step, nil
}

// freshMapper asks for the kinds anew when one is not known: it may have been added.
type freshMapper struct{ meta.ResettableRESTMapper }

// RESTMapping is meta.RESTMapper's.
func (m freshMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	mapping, err := m.ResettableRESTMapper.RESTMapping(kind, versions...)
	if meta.IsNoMatchError(err) {
		m.Reset()
		return m.ResettableRESTMapper.RESTMapping(kind, versions...)
	}
	return mapping, err
}
