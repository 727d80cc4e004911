package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	netutils "k8s.io/utils/net"

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
	ips   *ipallocator.Range
	ports *portallocator.PortAllocator
}

func newAllocators(cidr netip.Prefix) (*allocators, error) {
	_, ipnet, err := net.ParseCIDR(cidr.Masked().String())
	if err != nil {
		return nil, fmt.Errorf("apiserver: service CIDR %s: %w", cidr, err)
	}
	ips, err := ipallocator.NewInMemory(ipnet)
	if err != nil {
		return nil, fmt.Errorf("apiserver: service CIDR %s: %w", cidr, err)
	}
	ports, err := portallocator.NewInMemory(utilnet.PortRange{Base: nodePortFirst, Size: nodePortCount})
	if err != nil {
		return nil, fmt.Errorf("apiserver: NodePort range: %w", err)
	}
	return &allocators{ips, ports}, nil
}

func (a *allocators) services(options generic.RESTOptionsGetter, endpoints *endpointsstore.REST, pods *podstore.REST, transport http.RoundTripper) (*servicestore.REST, *servicestore.StatusREST, *svcreg.ProxyREST, error) {
	return servicestore.NewREST(options, a.ips.IPFamily(),
		map[api.IPFamily]ipallocator.Interface{a.ips.IPFamily(): a.ips}, a.ports, endpoints, pods, transport)
}

// restore takes every address and port that a stored Service holds. One that
// lies outside the range (the CIDR was changed) is left alone: the Service
// keeps it until it is deleted.
func (a *allocators) restore(ctx context.Context, services rest.Lister) error {
	ctx = genericapirequest.WithNamespace(ctx, "")
	list, err := services.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return fmt.Errorf("apiserver: list the stored Services: %w", err)
	}
	for i := range list.(*api.ServiceList).Items {
		if err := a.take(&list.(*api.ServiceList).Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *allocators) take(svc *api.Service) error {
	for _, text := range svc.Spec.ClusterIPs {
		ip := netutils.ParseIPSloppy(text)
		if ip == nil { // "None"
			continue
		}
		err := a.ips.Allocate(ip)
		var outside *ipallocator.ErrNotInRange
		if err != nil && !errors.Is(err, ipallocator.ErrAllocated) && !errors.As(err, &outside) {
			return fmt.Errorf("apiserver: take ClusterIP %s of Service %s/%s: %w", text, svc.Namespace, svc.Name, err)
		}
	}
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
