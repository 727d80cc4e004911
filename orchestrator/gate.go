package orchestrator

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/admissionregistration"
	"k8s.io/client-go/informers/apps"
	"k8s.io/client-go/informers/autoscaling"
	"k8s.io/client-go/informers/batch"
	"k8s.io/client-go/informers/certificates"
	"k8s.io/client-go/informers/core"
	"k8s.io/client-go/informers/discovery"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/informers/networking"
	"k8s.io/client-go/informers/policy"
	"k8s.io/client-go/informers/rbac"
	"k8s.io/client-go/informers/resource"
	"k8s.io/client-go/informers/storage"
	"k8s.io/client-go/tools/cache"
)

// gate is a shared informer factory for a controller that is built while informers run. Upstream's constructors register
// handlers before they are done, so that an event would meet half a controller: the gate holds the handlers back until it
// is opened. Nor does upstream take handlers back, so the gate does for a controller that ends before its informers.
type gate struct {
	informers.SharedInformerFactory
	held []func() error // registrations; constructors make them one after the other
	made []func() error // what takes those back that were made
}

// open registers the handlers that were held back.
func (g *gate) open() error {
	for _, register := range g.held {
		if err := register(); err != nil {
			return fmt.Errorf("watch for a controller: %w", err)
		}
	}
	g.held = nil
	return nil
}

// close takes the handlers back.
func (g *gate) close() error {
	var errs []error
	for _, remove := range g.made {
		errs = append(errs, remove())
	}
	return errors.Join(errs...)
}

// InformerFor is where all typed informers of a factory come from.
func (g *gate) InformerFor(obj runtime.Object, make internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	return &gatedInformer{g.SharedInformerFactory.InformerFor(obj, make), g}
}

// Each group asks its own factory for informers: the gate has to say that it is that factory. The handlers of a group that
// is not here are not held back, so a loop that is built late and wants another one needs one more line.

func (g *gate) Admissionregistration() admissionregistration.Interface {
	return admissionregistration.New(g, metav1.NamespaceAll, nil)
}
func (g *gate) Apps() apps.Interface { return apps.New(g, metav1.NamespaceAll, nil) }
func (g *gate) Autoscaling() autoscaling.Interface {
	return autoscaling.New(g, metav1.NamespaceAll, nil)
}
func (g *gate) Batch() batch.Interface { return batch.New(g, metav1.NamespaceAll, nil) }
func (g *gate) Certificates() certificates.Interface {
	return certificates.New(g, metav1.NamespaceAll, nil)
}
func (g *gate) Core() core.Interface { return core.New(g, metav1.NamespaceAll, nil) }
func (g *gate) Discovery() discovery.Interface {
	return discovery.New(g, metav1.NamespaceAll, nil)
}
func (g *gate) Networking() networking.Interface {
	return networking.New(g, metav1.NamespaceAll, nil)
}
func (g *gate) Policy() policy.Interface     { return policy.New(g, metav1.NamespaceAll, nil) }
func (g *gate) Rbac() rbac.Interface         { return rbac.New(g, metav1.NamespaceAll, nil) }
func (g *gate) Resource() resource.Interface { return resource.New(g, metav1.NamespaceAll, nil) }
func (g *gate) Storage() storage.Interface   { return storage.New(g, metav1.NamespaceAll, nil) }

// gatedInformer is one whose handlers wait for the gate.
type gatedInformer struct {
	cache.SharedIndexInformer
	gate *gate
}

func (i *gatedInformer) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return i.hold(func() (cache.ResourceEventHandlerRegistration, error) {
		return i.SharedIndexInformer.AddEventHandler(h)
	}), nil
}

func (i *gatedInformer) AddEventHandlerWithResyncPeriod(h cache.ResourceEventHandler, period time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return i.hold(func() (cache.ResourceEventHandlerRegistration, error) {
		return i.SharedIndexInformer.AddEventHandlerWithResyncPeriod(h, period)
	}), nil
}

func (i *gatedInformer) AddEventHandlerWithOptions(h cache.ResourceEventHandler, o cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return i.hold(func() (cache.ResourceEventHandlerRegistration, error) {
		return i.SharedIndexInformer.AddEventHandlerWithOptions(h, o)
	}), nil
}

func (i *gatedInformer) hold(register func() (cache.ResourceEventHandlerRegistration, error)) *heldRegistration {
	held := &heldRegistration{}
	i.gate.held = append(i.gate.held, func() error {
		made, err := register()
		if err == nil {
			held.made.Store(&made)
			i.gate.made = append(i.gate.made, func() error { return i.RemoveEventHandler(made) })
		}
		return err
	})
	return held
}

// heldRegistration has not synced before it is made.
type heldRegistration struct {
	made atomic.Pointer[cache.ResourceEventHandlerRegistration]
}

func (r *heldRegistration) HasSynced() bool {
	made := r.made.Load()
	return made != nil && (*made).HasSynced()
}

// HasSyncedChecker is for who asks after the gate was opened, as controllers do when they run.
func (r *heldRegistration) HasSyncedChecker() cache.DoneChecker {
	return (*r.made.Load()).HasSyncedChecker()
}
