//lint:file-ignore SA1019 Endpoints are deprecated for clients; serving those that still read them is what this file is for.

package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	netutils "k8s.io/utils/net"
)

const (
	mirrorManager = "endpointslicemirroring-controller.k8s.io"

	// endpointsPerMirror is how many addresses of one subset and family are
	// mirrored, as upstream's default.
	endpointsPerMirror = 1000

	// leaderAnnotation marks Endpoints that are a lock, not endpoints.
	leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"
)

// mirror copies Endpoints that users made for a Service without a selector to
// EndpointSlices, which is what proxies and DNS read.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#mirroring
type mirror struct {
	client    kubernetes.Interface
	services  corelisters.ServiceLister
	endpoints corelisters.EndpointsLister
	informer  cache.SharedIndexInformer
	lister    discoverylisters.EndpointSliceLister
	writes    *lastWrites[cache.ObjectName]
	loop      *loop[cache.ObjectName]
}

func newMirror(w *world) (controller, error) {
	core, slices := w.informers.Core().V1(), w.informers.Discovery().V1().EndpointSlices()
	c := &mirror{
		client: w.client, services: core.Services().Lister(), endpoints: core.Endpoints().Lister(),
		informer: slices.Informer(), lister: slices.Lister(),
		writes: newLastWrites[cache.ObjectName](),
	}
	c.loop = newLoop("mirrored endpointslices", w.log, c.reconcile)
	return c, errors.Join(
		watch(core.Services().Informer(), func(old, cur *corev1.Service) {
			c.loop.queue.Add(cache.MetaObjectToName(either(old, cur)))
		}),
		watch(core.Endpoints().Informer(), func(old, cur *corev1.Endpoints) {
			c.loop.queue.Add(cache.MetaObjectToName(either(old, cur)))
		}),
		watch(c.informer, c.sliceChanged),
	)
}

func (c *mirror) run(ctx context.Context) { c.loop.work(ctx, endpointWorkers) }

func (c *mirror) sliceChanged(old, cur *discoveryv1.EndpointSlice) {
	slice := either(old, cur)
	if slice.Labels[discoveryv1.LabelManagedBy] == mirrorManager {
		c.loop.queue.Add(cache.NewObjectName(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]))
	}
}

func (c *mirror) reconcile(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	if !c.writes.visible(key) {
		return staleRetry, nil
	}
	service, err := c.services.Services(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, err
	}
	source, err := c.endpoints.Endpoints(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, err
	}
	have, err := c.lister.EndpointSlices(key.Namespace).List(labels.SelectorFromSet(labels.Set{
		discoveryv1.LabelServiceName: key.Name, discoveryv1.LabelManagedBy: mirrorManager,
	}))
	if err != nil {
		return 0, fmt.Errorf("list the slices: %w", err)
	}
	if service == nil && source == nil && len(have) == 0 {
		c.writes.forget(key)
		return 0, nil
	}
	var want []*discoveryv1.EndpointSlice
	if service != nil && service.Spec.Selector == nil && source != nil && mirrored(source) {
		want = mirrorOf(source)
	}
	return 0, c.write(ctx, key, have, want)
}

// mirrored tells whether Endpoints are to be copied.
func mirrored(source *corev1.Endpoints) bool {
	_, lock := source.Annotations[leaderAnnotation]
	return !lock && source.Labels[discoveryv1.LabelSkipMirror] != "true" &&
		source.Labels[endpointsManagedBy] != endpointsManager && source.DeletionTimestamp == nil
}

// mirrorOf is one slice for each subset and IP family of source, without names.
func mirrorOf(source *corev1.Endpoints) []*discoveryv1.EndpointSlice {
	var slices []*discoveryv1.EndpointSlice
	for _, subset := range source.Subsets {
		for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
			endpoints := append(mirroredEndpoints(subset.Addresses, family, true), mirroredEndpoints(subset.NotReadyAddresses, family, false)...)
			if len(endpoints) == 0 {
				continue
			}
			slice := emptyMirror(source, family)
			slice.Endpoints = endpoints[:min(len(endpoints), endpointsPerMirror)]
			for _, port := range subset.Ports {
				slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{
					Name: &port.Name, Port: &port.Port, Protocol: &port.Protocol, AppProtocol: port.AppProtocol,
				})
			}
			slices = append(slices, slice)
		}
	}
	return slices
}

func emptyMirror(source *corev1.Endpoints, family discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	prefix := source.Name + "-"
	if len(validation.NameIsDNSSubdomain(prefix, true)) != 0 {
		prefix = source.Name
	}
	marks := maps.Clone(source.Labels)
	if marks == nil {
		marks = map[string]string{}
	}
	marks[discoveryv1.LabelServiceName], marks[discoveryv1.LabelManagedBy] = source.Name, mirrorManager
	notes := maps.Clone(source.Annotations)
	delete(notes, corev1.EndpointsLastChangeTriggerTime)
	delete(notes, corev1.LastAppliedConfigAnnotation)
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: prefix, Namespace: source.Namespace, Labels: marks, Annotations: notes,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(source, corev1.SchemeGroupVersion.WithKind("Endpoints"))},
		},
		AddressType: family,
	}
}

func mirroredEndpoints(addresses []corev1.EndpointAddress, family discoveryv1.AddressType, ready bool) []discoveryv1.Endpoint {
	var endpoints []discoveryv1.Endpoint
	for _, a := range addresses {
		if netutils.IsIPv6String(a.IP) != (family == discoveryv1.AddressTypeIPv6) {
			continue
		}
		endpoint := discoveryv1.Endpoint{
			Addresses: []string{a.IP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef: a.TargetRef, NodeName: a.NodeName,
		}
		if a.Hostname != "" {
			endpoint.Hostname = &a.Hostname
		}
		endpoints = append(endpoints, endpoint)
	}
	return endpoints
}

// write turns the slices that there are into those wanted: what is right stays,
// the rest is rewritten, created or deleted.
func (c *mirror) write(ctx context.Context, key cache.ObjectName, have, want []*discoveryv1.EndpointSlice) error {
	left := map[string]*discoveryv1.EndpointSlice{}
	for _, slice := range have {
		left[slice.Name] = slice
	}
	var missing []*discoveryv1.EndpointSlice
	for _, slice := range want {
		if same := find(left, func(s *discoveryv1.EndpointSlice) bool { return sameMirror(s, slice) }); same != nil {
			delete(left, same.Name)
			continue
		}
		missing = append(missing, slice)
	}
	api := c.client.DiscoveryV1().EndpointSlices(key.Namespace)
	for _, slice := range missing {
		var got *discoveryv1.EndpointSlice
		var err error
		if spare := find(left, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == slice.AddressType }); spare != nil {
			delete(left, spare.Name)
			slice.ObjectMeta.Name, slice.ResourceVersion = spare.Name, spare.ResourceVersion
			got, err = api.Update(ctx, slice, metav1.UpdateOptions{})
		} else {
			got, err = api.Create(ctx, slice, metav1.CreateOptions{})
		}
		if err != nil {
			if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				return nil
			}
			return fmt.Errorf("mirror the endpoints: %w", err)
		}
		c.writes.wrote(key, c.informer, got)
	}
	for _, slice := range left {
		if err := api.Delete(ctx, slice.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete slice %s: %w", slice.Name, err)
		}
		c.writes.deleted(key, c.informer, slice)
	}
	return nil
}

func find(slices map[string]*discoveryv1.EndpointSlice, matches func(*discoveryv1.EndpointSlice) bool) *discoveryv1.EndpointSlice {
	for _, slice := range slices {
		if matches(slice) {
			return slice
		}
	}
	return nil
}

func sameMirror(a, b *discoveryv1.EndpointSlice) bool {
	return a.AddressType == b.AddressType &&
		apiequality.Semantic.DeepEqual(a.Endpoints, b.Endpoints) &&
		apiequality.Semantic.DeepEqual(a.Ports, b.Ports) &&
		apiequality.Semantic.DeepEqual(a.Labels, b.Labels) &&
		apiequality.Semantic.DeepEqual(a.Annotations, b.Annotations) &&
		apiequality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences)
}
