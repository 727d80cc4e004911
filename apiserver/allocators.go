package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	api "k8s.io/kubernetes/pkg/apis/core"
	endpointsstore "k8s.io/kubernetes/pkg/registry/core/endpoint/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"
	svcreg "k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	"k8s.io/kubernetes/pkg/registry/core/service/portallocator"
	servicestore "k8s.io/kubernetes/pkg/registry/core/service/storage"
)

// allocators hand out ClusterIPs and NodePorts.
type allocators struct {
	ips   *clusterIPs
	ports *portallocator.PortAllocator
}

func (s *Server) newAllocators(c *genericapiserver.Config) (*allocators, error) {
	ips, err := newClusterIPs(s.follow, &s.followers, c.RESTOptionsGetter, s.cfg.serviceCIDRs(), s.client.NetworkingV1())
	if err != nil {
		return nil, err
	}
	ports, err := portallocator.NewInMemory(utilnet.PortRange{Base: nodePortFirst, Size: nodePortCount})
	if err != nil {
		return nil, fmt.Errorf("apiserver: NodePort range: %w", err)
	}
	return &allocators{ips, ports}, nil
}

func (a *allocators) services(options generic.RESTOptionsGetter, endpoints *endpointsstore.REST, pods *podstore.REST, transport http.RoundTripper) (*servicestore.REST, *servicestore.StatusREST, *svcreg.ProxyREST, error) {
	byFamily := map[api.IPFamily]ipallocator.Interface{}
	for _, allocator := range a.ips.allocators {
		byFamily[allocator.IPFamily()] = allocator
	}
	return servicestore.NewREST(options, a.ips.allocators[0].IPFamily(), byFamily, a.ports, endpoints, pods, transport)
}

// restore takes every address and port that a stored Service holds. A port that lies outside the range is left alone:
// the Service keeps it until it is deleted.
func (a *allocators) restore(ctx context.Context, services rest.Lister) error {
	ctx = genericapirequest.WithNamespace(ctx, "")
	list, err := services.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return fmt.Errorf("apiserver: list the stored Services: %w", err)
	}
	stored := list.(*api.ServiceList).Items
	for i := range stored {
		if err := a.takePorts(&stored[i]); err != nil {
			return err
		}
	}
	return a.ips.restore(ctx, stored)
}

func (a *allocators) takePorts(svc *api.Service) error {
	ports := []int32{svc.Spec.HealthCheckNodePort}
	for _, p := range svc.Spec.Ports {
		ports = append(ports, p.NodePort)
	}
	for _, port := range ports {
		if port == 0 {
			continue
		}
		// One port may serve TCP and UDP: taken twice is taken.
		err := a.ports.Allocate(int(port))
		var outside *portallocator.ErrNotInRange
		if err != nil && !errors.Is(err, portallocator.ErrAllocated) && !errors.As(err, &outside) {
			return fmt.Errorf("apiserver: take NodePort %d of Service %s/%s: %w", port, svc.Namespace, svc.Name, err)
		}
	}
	return nil
}
