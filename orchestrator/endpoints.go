//lint:file-ignore SA1019 Endpoints are deprecated for clients; serving those that still read them is what this file is for.

package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
	endpointsliceutil "k8s.io/endpointslice/util"
	endpointsutil "k8s.io/kubernetes/pkg/api/v1/endpoints"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	netutils "k8s.io/utils/net"
)

const (
	// endpointsManagedBy marks Endpoints that follow from pods.
	endpointsManagedBy = "endpoints.kubernetes.io/managed-by"
	endpointsManager   = "endpoint-controller"

	// addressesPerEndpoints is how many addresses an Endpoints object holds at most;
	// https://kubernetes.io/docs/concepts/services-networking/service/#over-capacity-endpoints.
	addressesPerEndpoints = 1000
)

// endpoints keeps the Endpoints object of each Service with a selector equal to
// its pods, for clients that do not know EndpointSlices.
type endpoints struct {
	client   kubernetes.Interface
	services corelisters.ServiceLister
	pods     corelisters.PodLister
	informer cache.SharedIndexInformer
	lister   corelisters.EndpointsLister
	recorder record.EventRecorder
	writes   *lastWrites[cache.ObjectName]
	loop     *loop[cache.ObjectName]
}

func newEndpoints(w *world) (controller, error) {
	core := w.informers.Core().V1()
	c := &endpoints{
		client: w.client, services: core.Services().Lister(), pods: core.Pods().Lister(),
		informer: core.Endpoints().Informer(), lister: core.Endpoints().Lister(),
		recorder: w.recorder(endpointsManager),
		writes:   newLastWrites[cache.ObjectName](),
	}
	c.loop = newLoop("endpoints", w.log, c.reconcile)
	return c, errors.Join(
		watch(core.Services().Informer(), func(old, cur *corev1.Service) { c.wake(either(old, cur)) }),
		watch(core.Pods().Informer(), wakeServicesOf(c.services, c.loop)),
		watch(c.informer, func(old, cur *corev1.Endpoints) { c.wake(either(old, cur)) }),
	)
}

func (c *endpoints) run(ctx context.Context) { c.loop.work(ctx, endpointWorkers) }

func (c *endpoints) wake(obj metav1.Object) { c.loop.queue.Add(cache.MetaObjectToName(obj)) }

func (c *endpoints) reconcile(ctx context.Context, key cache.ObjectName) (time.Duration, error) {
	if !c.writes.visible(key) {
		return staleRetry, nil
	}
	service, err := c.services.Services(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, err
	}
	have, err := c.lister.Endpoints(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, err
	}
	switch {
	case service == nil && have == nil:
		c.writes.forget(key)
		return 0, nil
	case service == nil:
		return 0, c.drop(ctx, key, have)
	case !selectsPods(service):
		return 0, nil
	}
	pods, err := c.pods.Pods(key.Namespace).List(labels.SelectorFromSet(service.Spec.Selector))
	if err != nil {
		return 0, fmt.Errorf("list the pods: %w", err)
	}
	return 0, c.write(ctx, key, have, endpointsFor(service, pods, have))
}

// drop deletes Endpoints that are left without their Service. Those that a user
// made without a Service stay.
func (c *endpoints) drop(ctx context.Context, key cache.ObjectName, have *corev1.Endpoints) error {
	if have.Labels[endpointsManagedBy] != endpointsManager {
		return nil
	}
	err := c.client.CoreV1().Endpoints(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(have.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the endpoints of a Service that is gone: %w", err)
	}
	c.writes.deleted(key, c.informer, have)
	return nil
}

func (c *endpoints) write(ctx context.Context, key cache.ObjectName, have, want *corev1.Endpoints) error {
	var got *corev1.Endpoints
	var err error
	api, reason := c.client.CoreV1().Endpoints(key.Namespace), "FailedToUpdateEndpoint"
	switch {
	case have == nil:
		reason = "FailedToCreateEndpoint"
		got, err = api.Create(ctx, want, metav1.CreateOptions{})
	case apiequality.Semantic.DeepEqual(have, want):
		return nil
	default:
		got, err = api.Update(ctx, want, metav1.UpdateOptions{})
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	if err != nil {
		if !apierrors.IsConflict(err) {
			c.recorder.Eventf(want, corev1.EventTypeWarning, reason, "Failed to write endpoints for service %s: %v", key, err)
		}
		return fmt.Errorf("write the endpoints: %w", err)
	}
	c.writes.wrote(key, c.informer, got)
	return nil
}

// endpointsFor is the Endpoints object that service should have, based on the
// one that it has.
func endpointsFor(service *corev1.Service, pods []*corev1.Pod, have *corev1.Endpoints) *corev1.Endpoints {
	want := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: service.Name, Namespace: service.Namespace}}
	if have != nil {
		want = have.DeepCopy()
	}
	want.Labels = maps.Clone(service.Labels)
	if want.Labels == nil {
		want.Labels = map[string]string{}
	}
	want.Labels[endpointsManagedBy] = endpointsManager
	delete(want.Labels, corev1.IsHeadlessService)
	if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone {
		want.Labels[corev1.IsHeadlessService] = ""
	}
	var subsets []corev1.EndpointSubset
	for _, pod := range pods {
		subsets = append(subsets, subsetsOf(service, pod)...)
	}
	want.Subsets = endpointsutil.RepackSubsets(subsets)
	delete(want.Annotations, corev1.EndpointsOverCapacity)
	if truncate(want.Subsets) {
		setAnnotation(want, corev1.EndpointsOverCapacity, "truncated")
	}
	return want
}

// subsetsOf is one pod's part in a Service: its address with each port.
func subsetsOf(service *corev1.Service, pod *corev1.Pod) []corev1.EndpointSubset {
	if !endpointsliceutil.ShouldPodBeInEndpoints(pod, service.Spec.PublishNotReadyAddresses) {
		return nil
	}
	address, ok := addressOf(service, pod)
	if !ok {
		return nil
	}
	subset := func(ports []corev1.EndpointPort) corev1.EndpointSubset {
		if service.Spec.PublishNotReadyAddresses || podutil.IsPodReady(pod) {
			return corev1.EndpointSubset{Addresses: []corev1.EndpointAddress{address}, Ports: ports}
		}
		return corev1.EndpointSubset{NotReadyAddresses: []corev1.EndpointAddress{address}, Ports: ports}
	}
	if len(service.Spec.Ports) == 0 && service.Spec.ClusterIP == corev1.ClusterIPNone {
		return []corev1.EndpointSubset{subset(nil)}
	}
	var subsets []corev1.EndpointSubset
	for _, port := range service.Spec.Ports {
		number, err := endpointslice.FindPort(pod, &port)
		if err != nil {
			continue // this pod has no port of that name
		}
		subsets = append(subsets, subset([]corev1.EndpointPort{{
			Name: port.Name, Port: int32(number), Protocol: port.Protocol, AppProtocol: port.AppProtocol,
		}}))
	}
	return subsets
}

// addressOf is the pod's address in the Service's first IP family.
func addressOf(service *corev1.Service, pod *corev1.Pod) (corev1.EndpointAddress, bool) {
	wantIPv6 := len(service.Spec.IPFamilies) > 0 && service.Spec.IPFamilies[0] == corev1.IPv6Protocol
	i := slices.IndexFunc(pod.Status.PodIPs, func(ip corev1.PodIP) bool { return netutils.IsIPv6String(ip.IP) == wantIPv6 })
	if i < 0 {
		return corev1.EndpointAddress{}, false
	}
	address := corev1.EndpointAddress{
		IP: pod.Status.PodIPs[i].IP, NodeName: &pod.Spec.NodeName,
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if endpointsliceutil.ShouldSetHostname(pod, service) {
		address.Hostname = pod.Spec.Hostname
	}
	return address, true
}

// truncate drops addresses beyond the limit, those that are not ready first.
func truncate(subsets []corev1.EndpointSubset) bool {
	total := 0
	for _, s := range subsets {
		total += len(s.Addresses) + len(s.NotReadyAddresses)
	}
	if total <= addressesPerEndpoints {
		return false
	}
	room := addressesPerEndpoints
	for i := range subsets {
		subsets[i].Addresses = subsets[i].Addresses[:min(room, len(subsets[i].Addresses))]
		room -= len(subsets[i].Addresses)
	}
	for i := range subsets {
		subsets[i].NotReadyAddresses = subsets[i].NotReadyAddresses[:min(room, len(subsets[i].NotReadyAddresses))]
		room -= len(subsets[i].NotReadyAddresses)
	}
	return true
}
