package orchestrator

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/resourcequota"
	quotainstall "k8s.io/kubernetes/pkg/quota/v1/install"
)

// newResourceQuota counts what namespaces use of their quotas.
func newResourceQuota(ctx context.Context, w *world) (runner, error) {
	evaluators, err := quotainstall.NewQuotaConfigurationForControllers(generic.ListerFuncForResourceFunc(w.informers.ForResource), w.informers)
	if err != nil {
		return nil, err
	}
	kinds := w.client.Discovery().ServerPreferredNamespacedResources
	informer := &quotaInformer{ResourceQuotaInformer: w.informers.Core().V1().ResourceQuotas()}
	quotas, err := resourcequota.NewController(ctx, &resourcequota.ControllerOptions{
		QuotaClient:               w.client.CoreV1(),
		ResourceQuotaInformer:     informer,
		ResyncPeriod:              controller.StaticResyncPeriodFunc(quotaResync),
		InformerFactory:           w.objects,
		ReplenishmentResyncPeriod: controller.StaticResyncPeriodFunc(quotaReplenish),
		DiscoveryFunc:             kinds,
		IgnoredResourcesFunc:      evaluators.IgnoredResources,
		InformersStarted:          w.started,
		Registry:                  generic.NewRegistry(evaluators.Evaluators()),
		UpdateFilter:              quotainstall.DefaultUpdateFilter(),
	})
	if err != nil {
		return nil, err
	}
	sync, err := syncsKinds(w, func(ctx context.Context) {
		both{single(func(ctx context.Context) { quotas.Sync(ctx, kinds, w.opts.KindsSync) }), informer.recount}.Run(ctx, 1)
	})
	return both{quotas, sync}, err
}

// quotaInformer is upstream's, whose controller can be asked to look at quotas again: it counts objects of a kind only once it
// knows the kind, and would look at a quota that came before only minutes later.
type quotaInformer struct {
	coreinformers.ResourceQuotaInformer
	controller cache.ResourceEventHandler
}

// Informer implements ResourceQuotaInformer.
func (q *quotaInformer) Informer() cache.SharedIndexInformer {
	return &heardInformer{q.ResourceQuotaInformer.Informer(), q}
}

// heardInformer keeps the handler of the controller.
type heardInformer struct {
	cache.SharedIndexInformer
	quotas *quotaInformer
}

func (i *heardInformer) AddEventHandlerWithResyncPeriod(h cache.ResourceEventHandler, period time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	i.quotas.controller = h
	return i.SharedIndexInformer.AddEventHandlerWithResyncPeriod(h, period)
}

// recounting is how often quotas are looked at after a change of the kinds, until all that they bound is counted: a quota
// can name what there is not.
var recounting = wait.Backoff{Duration: kindsSettle.Duration, Factor: 2, Steps: 7}

// recount has quotas with constraints that nobody counts evaluators.
func (q *quotaInformer) recount(ctx context.Context) {
	_ = wait.ExponentialBackoffWithContext(ctx, recounting, func(context.Context) (done bool, err error) { // what is left waits for the resync
		quotas, err := q.Lister().List(labels.Everything())
		done = true
		for _, quota := range quotas {
			if !counted(quota) {
				done = false
				q.controller.OnAdd(quota, false)
			}
		}
		return done, err
	})
}

// counted tells whether all that a quota bounds has been evaluators.
func counted(quota *corev1.ResourceQuota) bool {
	for name := range quota.Spec.Hard {
		if _, known := quota.Status.Used[name]; !known {
			return false
		}
	}
	return true
}
