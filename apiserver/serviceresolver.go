package apiserver

import (
	"fmt"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// serviceResolver finds a ready endpoint of a Service, for whatever the server calls in the cluster: webhooks and servers
// of other API groups. Upstream's default is the Service's ClusterIP, but the rules of a Service that is new may not be in
// the kernel yet, or somebody may have flushed them. What it reads is watched from its first use on.
type serviceResolver struct {
	informers informers.SharedInformerFactory
	stop      <-chan struct{}
}

// ResolveEndpoint is the ServiceResolver's of webhooks and of the aggregator.
func (r *serviceResolver) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	if err := r.follow(); err != nil {
		return nil, err
	}
	services := r.informers.Core().V1().Services().Lister()
	service, err := services.Services(namespace).Get(name)
	if err != nil {
		return nil, err
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return proxy.ResolveCluster(services, namespace, name, port) // it has no endpoints
	}
	slices, err := proxy.NewEndpointSliceListerGetter(r.informers.Discovery().V1().EndpointSlices().Lister())
	if err != nil {
		return nil, err
	}
	return proxy.ResolveEndpoint(services, slices, namespace, name, port)
}

// follow returns when Services and their endpoints are known.
func (r *serviceResolver) follow() error {
	services := r.informers.Core().V1().Services().Informer()
	slices := r.informers.Discovery().V1().EndpointSlices().Informer()
	if services.HasSynced() && slices.HasSynced() {
		return nil
	}
	r.informers.Start(r.stop)
	limit := make(chan struct{})
	timer := time.AfterFunc(cachesLimit, func() { close(limit) })
	defer timer.Stop()
	if !cache.WaitForCacheSync(limit, services.HasSynced, slices.HasSynced) {
		return fmt.Errorf("services and endpoints not listed within %v", cachesLimit)
	}
	return nil
}
