package netproxy

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	networkinginformers "k8s.io/client-go/informers/networking/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// policies are the NetworkPolicies that are there and what they mean now. While there are none, changes of Pods and
// Namespaces cost one comparison. The zero value knows of none.
type policies struct {
	lister     networkinglisters.NetworkPolicyLister
	namespaces corelisters.NamespaceLister
	pods       corelisters.PodLister

	enforced atomic.Bool // there are some
	stale    atomic.Bool // something changed since set was computed

	// What follows belongs to the goroutine that calls sync.
	all        []*networkingv1.NetworkPolicy
	dns        []dnsEndpoint
	set        *policySet
	toldUnseen bool
}

// EnforcePolicies has the Proxy enforce NetworkPolicies too. Call it before Run, with the informer of Pods that New got.
func (p *Proxy) EnforcePolicies(policies networkinginformers.NetworkPolicyInformer, namespaces coreinformers.NamespaceInformer,
	pods coreinformers.PodInformer) error {
	all := &p.policies
	all.lister, all.namespaces, all.pods = policies.Lister(), namespaces.Lister(), pods.Lister()
	all.stale.Store(true)
	changed := func() {
		all.stale.Store(true)
		signal(p.objectsChanged)
	}
	ifEnforced := func() {
		if all.enforced.Load() {
			changed()
		}
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		policies.Informer(): handlerOf(changed, func(before, after *networkingv1.NetworkPolicy) bool {
			return before.Generation == after.Generation && before.UID == after.UID && before.Generation != 0
		}),
		namespaces.Informer(): handlerOf(ifEnforced, func(before, after *corev1.Namespace) bool {
			return maps.Equal(before.Labels, after.Labels)
		}),
		pods.Informer(): handlerOf(ifEnforced, sameForPolicies),
	} {
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("netproxy: registering with an informer: %w", err)
		}
		p.synced = append(p.synced, registration.HasSynced)
	}
	return nil
}

// observePolicies notes in the description what NetworkPolicies mean now.
func (p *Proxy) observePolicies() error {
	eps, err := p.slicesOf(types.NamespacedName{Namespace: metav1.NamespaceSystem, Name: dnsService})
	if err != nil {
		return err
	}
	set, err := p.policies.sync(eps)
	if err != nil {
		return err
	}
	unseen := false
	for _, s := range p.sides {
		s.desired.setPolicies(set, &s.changed)
		unseen = unseen || s.desired.settings.masqueradePods
	}
	found := p.policies.troubles(unseen, p.features(), p.log)
	p.troubles.tell(p.recorder, p.object, found, func(t trouble) bool { return t.kind == "NetworkPolicy" })
	return nil
}

// handlerOf calls changed, but not for an update between two that are the same.
func handlerOf[T runtime.Object](changed func(), same func(before, after T) bool) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() }, DeleteFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			if !same(before.(T), after.(T)) {
				changed()
			}
		},
	}
}

// sameForPolicies says that two versions of a Pod have the same addresses and labels. Named ports never change.
func sameForPolicies(before, after *corev1.Pod) bool {
	return before.UID == after.UID && onPodNetwork(before) == onPodNetwork(after) && maps.Equal(before.Labels, after.Labels) &&
		slices.Equal(before.Status.PodIPs, after.Status.PodIPs) && (before.DeletionTimestamp == nil) == (after.DeletionTimestamp == nil)
}

// sync returns what the policies mean now. It computes only when something changed.
func (p *policies) sync(eps []*discoveryv1.EndpointSlice) (*policySet, error) {
	if p.lister == nil {
		return nil, nil
	}
	dns := dnsEndpoints(eps)
	if !p.stale.Swap(false) && slices.Equal(dns, p.dns) {
		return p.set, nil
	}
	set, err := p.compute(dns)
	if err != nil {
		p.stale.Store(true)
		return nil, err
	}
	p.dns, p.set = dns, set
	return set, nil
}

func (p *policies) compute(dns []dnsEndpoint) (_ *policySet, err error) {
	if p.all, err = p.lister.List(labels.Everything()); err != nil {
		return nil, fmt.Errorf("listing NetworkPolicies: %w", err)
	}
	p.enforced.Store(len(p.all) > 0) // before Pods are listed: what changes from now on is heard of
	if len(p.all) == 0 {
		return nil, nil
	}
	namespaces, err := p.namespaces.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing Namespaces: %w", err)
	}
	pods, err := p.pods.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing Pods: %w", err)
	}
	return policiesOf(p.all, namespaces, pods, dns), nil
}

// dnsService is the Service whose endpoint is the cluster's DNS server.
const dnsService = "kube-dns"

// dnsEndpoints are where the cluster's DNS server is.
func dnsEndpoints(eps []*discoveryv1.EndpointSlice) (dns []dnsEndpoint) {
	for _, slice := range eps {
		if slice.Namespace != metav1.NamespaceSystem || slice.Labels[discoveryv1.LabelServiceName] != dnsService {
			continue
		}
		for _, p := range slice.Ports {
			for _, ep := range slice.Endpoints {
				if len(ep.Addresses) == 0 || p.Port == nil {
					continue
				}
				if addr, err := netip.ParseAddr(ep.Addresses[0]); err == nil {
					dns = append(dns, dnsEndpoint{ptr.Deref(p.Protocol, corev1.ProtocolTCP), netip.AddrPortFrom(addr, uint16(*p.Port))})
				}
			}
		}
	}
	slices.SortFunc(dns, func(a, b dnsEndpoint) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.protocol, b.protocol)) })
	return dns
}

// object finds a policy, or returns nil.
func (p *policies) object(name types.NamespacedName) runtime.Object {
	if p.lister == nil {
		return nil
	}
	if policy, err := p.lister.NetworkPolicies(name.Namespace).Get(name.Name); err == nil {
		return policy
	}
	return nil
}

// troubles are what of the policies cannot be enforced, or cannot be allowed.
func (p *policies) troubles(unseen bool, f features, log *slog.Logger) map[trouble]func() string {
	found := map[trouble]func() string{}
	unseen = unseen && len(p.all) > 0
	for _, policy := range p.all {
		name := types.NamespacedName{Namespace: policy.Namespace, Name: policy.Name}
		if unseen {
			found[trouble{"NetworkPolicy", name, reasonPolicyIncomplete, "unseen"}] = func() string { return unseenPods }
		}
		if !f.sctp && allowsSCTP(policy) {
			found[trouble{"NetworkPolicy", name, reasonPolicyIncomplete, "SCTP"}] = func() string {
				return "SCTP stays forbidden: this kernel lacks the iptables match sctp (module xt_sctp)"
			}
		}
	}
	if unseen && !p.toldUnseen {
		log.Warn(unseenPods)
	}
	p.toldUnseen = unseen
	return found
}

// unseenPods is what is wrong where the kernel does not show iptables what the bridge switches.
const unseenPods = "NetworkPolicies do not hold between pods that call each other's addresses: this kernel does not let iptables see " +
	"what a bridge switches (net.bridge.bridge-nf-call-iptables, module br_netfilter); they hold for Services, for other machines and for this one"

func allowsSCTP(policy *networkingv1.NetworkPolicy) bool {
	sctp := func(ports []networkingv1.NetworkPolicyPort) bool {
		return slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
			return ptr.Deref(p.Protocol, corev1.ProtocolTCP) == corev1.ProtocolSCTP
		})
	}
	return slices.ContainsFunc(policy.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool { return sctp(r.Ports) }) ||
		slices.ContainsFunc(policy.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool { return sctp(r.Ports) })
}
