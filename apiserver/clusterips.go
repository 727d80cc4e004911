package apiserver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	networkingclient "k8s.io/client-go/kubernetes/typed/networking/v1"
	"k8s.io/client-go/tools/cache"
	api "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/networking"
	"k8s.io/kubernetes/pkg/controller/servicecidrs"
	"k8s.io/kubernetes/pkg/controlplane/controller/defaultservicecidr"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	ipaddressstore "k8s.io/kubernetes/pkg/registry/networking/ipaddress/storage"
	servicecidrstore "k8s.io/kubernetes/pkg/registry/networking/servicecidr/storage"
)

// allocatorLimit is how long the allocator may take to see the ServiceCIDRs that are there. It takes milliseconds.
const allocatorLimit = 10 * time.Second

// clusterIPs are the ServiceCIDRs and the IPAddresses taken of them, and upstream's allocators over both. They are ready
// before the API is: they follow the store itself, so that the first Services wait for nothing.
// https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects
type clusterIPs struct {
	cidrs     *servicecidrstore.REST
	status    *servicecidrstore.StatusREST
	addresses *ipaddressstore.REST
	// allocators are one for each IP family, the primary one first.
	allocators []*ipallocator.MetaAllocator
}

// serviceCIDRs are one for each IP family, the primary one first.
func (c Config) serviceCIDRs() []netip.Prefix {
	if !c.OtherServiceCIDR.IsValid() {
		return []netip.Prefix{c.ServiceCIDR.Masked()}
	}
	return []netip.Prefix{c.ServiceCIDR.Masked(), c.OtherServiceCIDR.Masked()}
}

// newClusterIPs makes the ranges the ServiceCIDR kubernetes. What it starts among followers runs until ctx ends.
func newClusterIPs(ctx context.Context, followers *sync.WaitGroup, options generic.RESTOptionsGetter, ranges []netip.Prefix, client networkingclient.NetworkingV1Interface) (*clusterIPs, error) {
	c := &clusterIPs{}
	var err error
	if c.cidrs, c.status, err = servicecidrstore.NewREST(options); err != nil {
		return nil, fmt.Errorf("apiserver: compose servicecidrs: %w", err)
	}
	if c.addresses, err = ipaddressstore.NewREST(options); err != nil {
		return nil, fmt.Errorf("apiserver: compose ipaddresses: %w", err)
	}
	ctx = genericapirequest.WithNamespace(ctx, "")
	if err := c.ensureDefault(ctx, ranges); err != nil {
		return nil, fmt.Errorf("apiserver: ServiceCIDR %s of %s: %w", defaultservicecidr.DefaultServiceCIDRName, ranges, err)
	}
	version := networkingv1.SchemeGroupVersion
	cidrs := cidrInformer{followStore(c.cidrs, version, &networkingv1.ServiceCIDR{}, &networkingv1.ServiceCIDRList{})}
	addresses := addressInformer{followStore(c.addresses, version, &networkingv1.IPAddress{}, &networkingv1.IPAddressList{})}
	followers.Go(func() { cidrs.RunWithContext(ctx) })
	followers.Go(func() { addresses.RunWithContext(ctx) })
	limited, cancel := context.WithTimeout(ctx, allocatorLimit)
	defer cancel()
	if !cache.WaitFor(limited, "", cidrs.HasSyncedChecker(), addresses.HasSyncedChecker()) {
		return nil, fmt.Errorf("apiserver: ServiceCIDRs and IPAddresses not listed within %v", allocatorLimit)
	}
	for _, cidr := range ranges {
		allocator, err := ipallocator.NewMetaAllocator(client, cidrs, addresses, cidr.Addr().Is6(), nil)
		if err != nil {
			return nil, fmt.Errorf("apiserver: allocator of ClusterIPs: %w", err)
		}
		err = wait.PollUntilContextCancel(limited, time.Millisecond, true, func(context.Context) (bool, error) {
			_, none := allocator.DryRun().(*ipallocator.Allocator) // what it answers while it knows no range
			return !none, nil
		})
		if err != nil {
			return nil, fmt.Errorf("apiserver: allocator of ClusterIPs: no range within %v", allocatorLimit)
		}
		c.allocators = append(c.allocators, allocator)
	}
	return c, nil
}

// ensureDefault makes the ServiceCIDR kubernetes. One of another range is replaced: the API lets nobody change a range,
// but whoever starts the instance with another one wants that.
func (c *clusterIPs) ensureDefault(ctx context.Context, ranges []netip.Prefix) error {
	var want []string
	for _, cidr := range ranges {
		want = append(want, cidr.String())
	}
	const name = defaultservicecidr.DefaultServiceCIDRName
	have, err := c.cidrs.Get(ctx, name, &metav1.GetOptions{})
	switch {
	case err == nil && slices.Equal(have.(*networking.ServiceCIDR).Spec.CIDRs, want):
		return nil
	case err == nil:
		key, err := c.cidrs.KeyFunc(ctx, name)
		if err != nil {
			return err
		}
		err = c.cidrs.Storage.Delete(ctx, key, &networking.ServiceCIDR{}, nil, rest.ValidateAllObjectFunc, false, nil, storage.DeleteOptions{})
		if err != nil {
			return err
		}
	case !apierrors.IsNotFound(err):
		return err
	}
	made, err := c.cidrs.Create(ctx, &networking.ServiceCIDR{
		// The finalizer keeps it while its addresses are in use; the controller that takes it off comes when it is needed.
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{servicecidrs.ServiceCIDRProtectionFinalizer}},
		Spec:       networking.ServiceCIDRSpec{CIDRs: want},
	}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		return err
	}
	ready := made.(*networking.ServiceCIDR).DeepCopy()
	ready.Status.Conditions = []metav1.Condition{{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue, LastTransitionTime: metav1.Now(),
		Message: "Kubernetes default Service CIDR is ready",
	}}
	_, _, err = c.status.Update(ctx, name, rest.DefaultUpdatedObjectInfo(ready), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}

// restore gives each stored Service the IPAddress of its ClusterIP where that is missing, as in stores of before there
// were any, and removes those of Services that are gone. A ClusterIP of no ServiceCIDR (the range was changed) is left
// alone: the Service keeps it until it is deleted.
func (c *clusterIPs) restore(ctx context.Context, services []api.Service) error {
	list, err := c.addresses.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return fmt.Errorf("apiserver: list the stored IPAddresses: %w", err)
	}
	orphans := map[string]bool{}
	for _, a := range list.(*networking.IPAddressList).Items {
		if a.Labels[networkingv1.LabelManagedBy] == ipallocator.ControllerName {
			orphans[a.Name] = true
		}
	}
	for i := range services {
		svc := &services[i]
		for _, text := range svc.Spec.ClusterIPs {
			ip, err := netip.ParseAddr(text)
			if err != nil { // "None"
				continue
			}
			if !orphans[ip.String()] {
				if err := c.take(ctx, svc, ip); err != nil {
					return fmt.Errorf("apiserver: take ClusterIP %s of Service %s/%s: %w", text, svc.Namespace, svc.Name, err)
				}
			}
			delete(orphans, ip.String())
		}
	}
	for name := range orphans {
		if _, _, err := c.addresses.Delete(ctx, name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("apiserver: release IPAddress %s: %w", name, err)
		}
	}
	return nil
}

func (c *clusterIPs) take(ctx context.Context, svc *api.Service, ip netip.Addr) error {
	list, err := c.cidrs.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		return err
	}
	for _, cidr := range list.(*networking.ServiceCIDRList).Items {
		for _, text := range cidr.Spec.CIDRs {
			if prefix, err := netip.ParsePrefix(text); err != nil || !prefix.Contains(ip) {
				continue
			}
			family := api.IPv4Protocol
			if ip.Is6() {
				family = api.IPv6Protocol
			}
			_, err := c.addresses.Create(ctx, &networking.IPAddress{
				ObjectMeta: metav1.ObjectMeta{Name: ip.String(), Labels: map[string]string{
					networkingv1.LabelIPAddressFamily: string(family), networkingv1.LabelManagedBy: ipallocator.ControllerName,
				}},
				Spec: networking.IPAddressSpec{ParentRef: &networking.ParentReference{Resource: "services", Namespace: svc.Namespace, Name: svc.Name}},
			}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) { // somebody made it by hand
				return nil
			}
			return err
		}
	}
	return nil
}
