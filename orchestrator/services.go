package orchestrator

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servicehelper "k8s.io/cloud-provider/service/helpers"
	"k8s.io/kubernetes/pkg/controller/endpoint"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	"k8s.io/kubernetes/pkg/controller/endpointslicemirroring"
	"k8s.io/kubernetes/pkg/controller/servicecidrs"
)

const (
	// endpointsPerSlice and mirroredEndpoints are kube-controller-manager's flags --max-endpoints-per-slice and
	// --mirroring-max-endpoints-per-subset, with their defaults.
	endpointsPerSlice = 100
	mirroredEndpoints = 1000
	// slicesBatch is how long changes of EndpointSlices are collected: not at all, since somebody waits for them.
	slicesBatch = 0
	// endpointsBatch is that of Endpoints, which few still read. Without it their controller is often faster than its
	// own informer, creates an object twice and warns of it.
	endpointsBatch = 100 * time.Millisecond
)

// serviceLoops say which Pods answer for a Service, and where.
func serviceLoops() []loop {
	return []loop{
		{"endpoints-controller", 5, servicesOfPods, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return endpoint.NewEndpointController(ctx, core.Pods(), core.Services(), core.Endpoints(), w.client, endpointsBatch), nil
		}},
		{"endpointslice-controller", 5, servicesOfPods, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return endpointslice.NewController(ctx, core.Pods(), core.Services(), core.Nodes(),
				w.informers.Discovery().V1().EndpointSlices(), endpointsPerSlice, w.client, slicesBatch), nil
		}},
		{"endpointslice-mirroring-controller", 5, endpointsByHand, func(ctx context.Context, w *world) (runner, error) {
			core := w.informers.Core().V1()
			return endpointslicemirroring.NewController(ctx, core.Endpoints(), w.informers.Discovery().V1().EndpointSlices(),
				core.Services(), mirroredEndpoints, w.client, slicesBatch), nil
		}},
		{"service-cidr-controller", 5, rangesOfUsers, func(ctx context.Context, w *world) (runner, error) {
			networking := w.informers.Networking().V1()
			return servicecidrs.NewController(ctx, networking.ServiceCIDRs(), networking.IPAddresses(), w.client), nil
		}},
		{"service-lb-controller", 1, balancedServices, newServiceController},
	}
}

// servicesOfPods are Services that select Pods, and what was made of such a one that may be gone.
func servicesOfPods(w *world) []trigger {
	selects := func(obj any) bool { return len(obj.(*corev1.Service).Spec.Selector) > 0 }
	ofPods := func(obj any) bool {
		return obj.(*discoveryv1.EndpointSlice).Labels[discoveryv1.LabelManagedBy] == endpointslice.ControllerName
	}
	return []trigger{
		{w.informers.Core().V1().Services().Informer(), selects},
		{w.informers.Discovery().V1().EndpointSlices().Informer(), ofPods},
	}
}

// balancedServices are those of type LoadBalancer, and those that were.
func balancedServices(w *world) []trigger {
	return []trigger{{w.informers.Core().V1().Services().Informer(), func(obj any) bool {
		s := obj.(*corev1.Service)
		return s.Spec.Type == corev1.ServiceTypeLoadBalancer || servicehelper.HasLBFinalizer(s)
	}}}
}

// endpointsByHand are Endpoints that no controller made, and their mirrors.
func endpointsByHand(w *world) []trigger {
	byHand := func(obj any) bool {
		labels := obj.(metav1.Object).GetLabels()
		return labels[endpoint.LabelManagedBy] == "" && labels[discoveryv1.LabelSkipMirror] != "true"
	}
	mirror := func(obj any) bool {
		return obj.(*discoveryv1.EndpointSlice).Labels[discoveryv1.LabelManagedBy] == endpointslicemirroring.ControllerName
	}
	return []trigger{
		{w.informers.Core().V1().Endpoints().Informer(), byHand},
		{w.informers.Discovery().V1().EndpointSlices().Informer(), mirror},
	}
}

// rangesOfUsers are the ServiceCIDRs that somebody added, or wants to delete: the API server keeps the first itself.
func rangesOfUsers(w *world) []trigger {
	return []trigger{{w.informers.Networking().V1().ServiceCIDRs().Informer(), func(obj any) bool {
		cidr := obj.(*networkingv1.ServiceCIDR)
		return cidr.Name != "kubernetes" || cidr.DeletionTimestamp != nil
	}}}
}
