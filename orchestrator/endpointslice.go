package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
	endpointsliceutil "k8s.io/endpointslice/util"
	"k8s.io/klog/v2"
)

const (
	endpointWorkers = 5

	// endpointsPerSlice is Kubernetes' default size of a slice.
	endpointsPerSlice = 100

	// sliceManager is the endpointslice.kubernetes.io/managed-by value by which
	// tools tell these slices from hand-made ones.
	sliceManager = "endpointslice-controller.k8s.io"
)

// endpointSlices keeps the EndpointSlices of each Service with a selector equal to its
// pods. Kubernetes' own library computes and writes them; this controller says
// when, which is at once: traffic to a pod that is going must stop.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
type endpointSlices struct {
	services corelisters.ServiceLister
	pods     corelisters.PodLister
	lister   discoverylisters.EndpointSliceLister
	recorder record.EventRecorder
	loop     *loop[cache.ObjectName]

	reconciler *endpointslice.Reconciler
	// written knows the generations of the slices that the reconciler wrote; with
	// it this controller sees its own last write before it writes again.
	written *endpointsliceutil.EndpointSliceTracker
	trigger *endpointsliceutil.TriggerTimeTracker
}

func newSlices(w *world) (controller, error) {
	core, slices := w.informers.Core().V1(), w.informers.Discovery().V1().EndpointSlices()
	c := &endpointSlices{
		services: core.Services().Lister(), pods: core.Pods().Lister(), lister: slices.Lister(),
		recorder: w.recorder("endpoint-slice-controller"),
		written:  endpointsliceutil.NewEndpointSliceTracker(),
		trigger:  endpointsliceutil.NewTriggerTimeTracker(),
	}
	c.reconciler = endpointslice.NewReconciler(w.client, core.Nodes().Lister(), endpointsPerSlice, c.written, nil,
		c.recorder, sliceManager, endpointslice.WithPreferSameTrafficDistributionEnabled(true))
	c.loop = newLoop("endpointslices", w.log, c.reconcile)
	return c, errors.Join(
		watch(core.Services().Informer(), c.serviceChanged),
		watch(core.Pods().Informer(), wakeServicesOf(c.services, c.loop)),
		watch(slices.Informer(), c.sliceChanged),
	)
}

func (c *endpointSlices) run(ctx context.Context) { c.loop.work(ctx, endpointWorkers) }

func (c *endpointSlices) serviceChanged(old, cur *corev1.Service) {
	c.loop.queue.Add(cache.MetaObjectToName(either(old, cur)))
}

// sliceChanged repairs a slice that someone else changed or deleted, and wakes a
// Service whose own write has arrived.
func (c *endpointSlices) sliceChanged(old, cur *discoveryv1.EndpointSlice) {
	if cur == nil && c.reconciler.ManagedByController(old) {
		c.written.HandleDeletion(old)
	}
	for _, slice := range []*discoveryv1.EndpointSlice{old, cur} {
		if slice != nil && c.reconciler.ManagedByController(slice) && slice.Labels[discoveryv1.LabelServiceName] != "" {
			c.loop.queue.Add(cache.NewObjectName(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]))
		}
	}
}

func (c *endpointSlices) reconcile(_ context.Context, key cache.ObjectName) (time.Duration, error) {
	service, err := c.services.Services(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		c.trigger.DeleteService(key.Namespace, key.Name)
		c.reconciler.DeleteService(key.Namespace, key.Name)
		c.written.DeleteService(key.Namespace, key.Name)
		return 0, nil // the slices go with their owner
	}
	if err != nil || !selectsPods(service) {
		return 0, err
	}
	pods, err := c.pods.Pods(key.Namespace).List(labels.SelectorFromSet(service.Spec.Selector))
	if err != nil {
		return 0, fmt.Errorf("list the pods: %w", err)
	}
	slices, err := c.slicesOf(service)
	if err != nil {
		return 0, err
	}
	if c.written.StaleSlices(service, slices) {
		return staleRetry, nil
	}
	changed := c.trigger.ComputeEndpointLastChangeTriggerTime(key.Namespace, service, pods)
	if err := c.reconciler.Reconcile(klog.Background(), service, pods, slices, changed); err != nil {
		if !apierrors.IsConflict(err) {
			c.recorder.Eventf(service, corev1.EventTypeWarning, "FailedToUpdateEndpointSlices",
				"Error updating Endpoint Slices for Service %s/%s: %v", service.Namespace, service.Name, err)
		}
		return 0, err
	}
	return 0, nil
}

// slicesOf returns the slices that this controller manages for service, without
// those on their way out.
func (c *endpointSlices) slicesOf(service *corev1.Service) ([]*discoveryv1.EndpointSlice, error) {
	all, err := c.lister.EndpointSlices(service.Namespace).List(labels.SelectorFromSet(labels.Set{
		discoveryv1.LabelServiceName: service.Name, discoveryv1.LabelManagedBy: sliceManager,
	}))
	if err != nil {
		return nil, fmt.Errorf("list the slices: %w", err)
	}
	var alive []*discoveryv1.EndpointSlice
	for _, slice := range all {
		if slice.DeletionTimestamp == nil {
			alive = append(alive, slice)
		}
	}
	return alive, nil
}

// selectsPods tells whether the endpoints of a Service follow from pods.
func selectsPods(service *corev1.Service) bool {
	return service.Spec.Type != corev1.ServiceTypeExternalName && service.Spec.Selector != nil
}

// wakeServicesOf returns a handler of pod events that wakes the Services whose
// endpoints may change by them.
func wakeServicesOf(services corelisters.ServiceLister, l *loop[cache.ObjectName]) func(old, cur *corev1.Pod) {
	return func(old, cur *corev1.Pod) {
		var before, after any // nil interfaces where there is no pod
		if old != nil {
			before = old
		}
		if cur != nil {
			after = cur
		}
		keys, err := endpointsliceutil.GetServicesToUpdate(services, endpointsliceutil.GetPodUpdateProjectionKey(before, after))
		if err != nil {
			l.log.Error("find the Services of a pod", "pod", cache.MetaObjectToName(either(old, cur)), "err", err)
			return
		}
		for key := range keys {
			if name, err := cache.ParseObjectName(key); err == nil {
				l.queue.Add(name)
			}
		}
	}
}
