package orchestrator

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/podgc"
	"k8s.io/kubernetes/pkg/controller/resourceclaim"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

// clusterLoops keep namespaces, identities and quotas, and collect what nobody owns any more.
func clusterLoops() []loop {
	return []loop{
		{"namespace-controller", 10, namespacesThatEnd, func(ctx context.Context, w *world) (runner, error) {
			objects, err := w.metadata()
			if err != nil {
				return nil, err
			}
			return namespace.NewNamespaceController(ctx, w.client, objects, w.client.Discovery().ServerPreferredNamespacedResources,
				w.informers.Core().V1().Namespaces(), namespaceResync, corev1.FinalizerKubernetes), nil
		}},
		{"serviceaccount-controller", 1, nil, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(), w.client,
				serviceaccount.DefaultServiceAccountsControllerOptions())
		}},
		{"serviceaccount-token-controller", 5, secretsOfTokens, newTokenSecrets},
		{"root-ca-certificate-publisher-controller", 1, nil, newRootCAPublisher},
		{"clusterrole-aggregation-controller", 5, func(w *world) []trigger { return anyOf(w.informers.Rbac().V1().ClusterRoles()) }, func(_ context.Context, w *world) (runner, error) {
			return clusterroleaggregation.NewClusterRoleAggregation(w.informers.Rbac().V1().ClusterRoles(), w.client.RbacV1()), nil
		}},
		{"garbage-collector-controller", 20, nil, newGarbageCollector},
		{"pod-garbage-collector-controller", 1, nil, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return single(podgc.NewPodGC(ctx, w.client, core.Pods(), core.Nodes(), w.opts.TerminatedPods).Run), nil
		}},
		{"resourcequota-controller", 5, func(w *world) []trigger { return anyOf(w.informers.Core().V1().ResourceQuotas()) }, newResourceQuota},
		{"resourceclaim-controller", 2, podsWithClaims, func(ctx context.Context, w *world) (runner, error) {
			claims := w.informers.Resource().V1()
			// The nil informer and the features that are not set are of features that upstream has off.
			return resourceclaim.NewController(klog.FromContext(ctx), resourceclaim.Features{AdminAccess: true, PrioritizedList: true},
				w.client, w.informers.Core().V1().Pods(), nil, claims.ResourceClaims(), claims.ResourceClaimTemplates())
		}},
	}
}

const (
	// namespaceResync, quotaResync and quotaReplenish are kube-controller-manager's periods.
	namespaceResync = 5 * time.Minute
	quotaResync     = 5 * time.Minute
	quotaReplenish  = 12 * time.Hour
	// kindsWait is how long the garbage collector waits for all kinds to be listed before it begins, as kube-controller-manager's.
	kindsWait = 30 * time.Second
)

// newTokenSecrets fills the Secrets that ask for a ServiceAccount's token.
func newTokenSecrets(ctx context.Context, w *world) (runner, error) {
	if w.opts.Tokens == nil {
		return idle, nil
	}
	core := w.informers.Core().V1()
	return serviceaccount.NewTokensController(klog.FromContext(ctx), core.ServiceAccounts(), core.Secrets(), w.client,
		serviceaccount.TokensControllerOptions{TokenGenerator: w.opts.Tokens, RootCA: w.opts.RootCA})
}

// newRootCAPublisher gives every namespace the ConfigMap kube-root-ca.crt.
func newRootCAPublisher(_ context.Context, w *world) (runner, error) {
	if len(w.opts.RootCA) == 0 {
		return idle, nil
	}
	core := w.informers.Core().V1()
	return rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), w.client, w.opts.RootCA)
}

// idle is a loop that has nothing to do with these options.
var idle = single(func(ctx context.Context) { <-ctx.Done() })

// newGarbageCollector deletes what has lost its owners. Events have none.
func newGarbageCollector(ctx context.Context, w *world) (runner, error) {
	ignored := map[schema.GroupResource]struct{}{
		{Resource: "events"}:                         {},
		{Group: "events.k8s.io", Resource: "events"}: {},
	}
	objects, err := w.metadata()
	if err != nil {
		return nil, err
	}
	collector, err := garbagecollector.NewGarbageCollector(ctx, w.client, objects, w.mapper, ignored, w.objects, w.started)
	if err != nil {
		return nil, err
	}
	sync, err := syncsKinds(w, func(ctx context.Context) { collector.Sync(ctx, w.client.Discovery(), w.opts.KindsSync) })
	return both{collectorRun{collector}, sync}, err
}

// collectorRun waits at most kindsWait.
type collectorRun struct {
	*garbagecollector.GarbageCollector
}

func (c collectorRun) Run(ctx context.Context, workers int) {
	c.GarbageCollector.Run(ctx, workers, kindsWait)
}

// namespacesThatEnd are Namespaces that somebody deleted.
func namespacesThatEnd(w *world) []trigger {
	return []trigger{{w.informers.Core().V1().Namespaces().Informer(), func(obj any) bool {
		return obj.(*corev1.Namespace).DeletionTimestamp != nil
	}}}
}

// secretsOfTokens are Secrets that hold the token of a ServiceAccount, or ask for one.
func secretsOfTokens(w *world) []trigger {
	return []trigger{{w.informers.Core().V1().Secrets().Informer(), func(obj any) bool {
		return obj.(*corev1.Secret).Type == corev1.SecretTypeServiceAccountToken
	}}}
}

// podsWithClaims are Pods that ask for devices, and the claims that may have been made for them.
func podsWithClaims(w *world) []trigger {
	return append(anyOf(w.informers.Resource().V1().ResourceClaims()), trigger{w.informers.Core().V1().Pods().Informer(), func(obj any) bool {
		return len(obj.(*corev1.Pod).Spec.ResourceClaims) > 0
	}})
}
