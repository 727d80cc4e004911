package netproxy

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// servicePort is one port of a Service at one of its ClusterIPs, with the endpoints that answer for it now: what rules are made of.
// All its addresses are of one IP family.
type servicePort struct {
	Service  types.NamespacedName
	PortName string
	Protocol corev1.Protocol
	id       string // see String

	ClusterIP   netip.Addr
	Port        uint16
	ExternalIPs []netip.Addr
	NodePort    uint16 // 0: none

	LoadBalancerIPs []netip.Addr   // those of the status that are this machine's to answer for
	SourceRanges    []netip.Prefix // from where they may be reached beside this machine; empty: from everywhere

	AffinitySeconds int32 // how long a client keeps its endpoint; 0: no affinity
	PreserveSource  bool  // externalTrafficPolicy Local: outside clients keep their address

	// ByNode has who answers at the NodePort of single nodes, if outside clients are kept to their node.
	ByNode []nodeEndpoints

	// InternalByNode has who answers at the ClusterIP to the Pods of single nodes, if clients are kept to their node. All
	// other clients are on the first node, whose endpoints are Internal then.
	InternalByNode []clientEndpoints

	Internal []netip.AddrPort // who answers at the ClusterIP, sorted
	External []netip.AddrPort // who answers at NodePort, externalIPs and load balancer's, sorted
}

// nodeEndpoints are those on one node, which has the address.
type nodeEndpoints struct {
	Address   netip.Addr
	Endpoints []netip.AddrPort // sorted
}

// clientEndpoints are those on one node, for clients with these addresses.
type clientEndpoints struct {
	Node      string
	Clients   []netip.Prefix
	Endpoints []netip.AddrPort // sorted
}

// inside are all who answer at the ClusterIP, to whomever.
func (sp *servicePort) inside() []netip.AddrPort {
	all := sp.Internal
	for _, of := range sp.InternalByNode {
		all = slices.Concat(all, of.Endpoints)
	}
	return all
}

// sameInside tells whether every client of the ClusterIP is sent where those from outside are.
func (sp *servicePort) sameInside() bool {
	return len(sp.InternalByNode) == 0 && slices.Equal(sp.Internal, sp.External)
}

// String is the port's name in comments and events, and its identity: namespace/name:port/protocol.
func (sp *servicePort) String() string { return sp.id }

// balancedIPs are the load balancer's addresses that rules translate: all but [::1], see loopback6.go.
func (sp *servicePort) balancedIPs() []netip.Addr {
	if !slices.Contains(sp.LoadBalancerIPs, loopback6) {
		return sp.LoadBalancerIPs
	}
	return slices.DeleteFunc(slices.Clone(sp.LoadBalancerIPs), func(ip netip.Addr) bool { return ip == loopback6 })
}

// serviceProxyNameLabel on a Service means that another proxy serves it.
// See https://kubernetes.io/docs/reference/labels-annotations-taints/#servicekubernetesioservice-proxy-name
const serviceProxyNameLabel = "service.kubernetes.io/service-proxy-name"

// portsOf is empty for Services that rules have nothing to do with: headless, ExternalName, another proxy's.
func portsOf(svc *corev1.Service, eps []*discoveryv1.EndpointSlice, on nodes) []servicePort {
	if _, foreign := svc.Labels[serviceProxyNameLabel]; foreign || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	var ports []servicePort
	for _, f := range []family{ipv4, ipv6} {
		if ips := f.addresses(append([]string{svc.Spec.ClusterIP}, svc.Spec.ClusterIPs...)); len(ips) > 0 {
			ports = append(ports, f.portsOf(svc, ips[0], eps, on)...)
		}
	}
	return ports
}

// portsOf are those of one ClusterIP.
func (f family) portsOf(svc *corev1.Service, ip netip.Addr, eps []*discoveryv1.EndpointSlice, on nodes) (ports []servicePort) {
	for _, p := range svc.Spec.Ports {
		sp := servicePort{
			Service:         types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name},
			PortName:        p.Name,
			Protocol:        cmp.Or(p.Protocol, corev1.ProtocolTCP),
			ClusterIP:       ip,
			Port:            uint16(p.Port),
			ExternalIPs:     f.addresses(svc.Spec.ExternalIPs),
			NodePort:        uint16(p.NodePort),
			LoadBalancerIPs: f.loadBalancerIPs(svc),
			SourceRanges:    f.sourceRanges(svc),
			AffinitySeconds: affinitySeconds(svc),
			PreserveSource:  svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
		}
		sp.id = sp.Service.Namespace + "/" + sp.Service.Name + ":" + p.Name + "/" + strings.ToLower(string(sp.Protocol))
		internalLocal := ptr.Deref(svc.Spec.InternalTrafficPolicy, "") == corev1.ServiceInternalTrafficPolicyLocal
		sp.Internal = f.endpoints(eps, p.Name, sp.Protocol, on, internalLocal)
		sp.External = sp.Internal
		if sp.PreserveSource != internalLocal {
			sp.External = f.endpoints(eps, p.Name, sp.Protocol, on, sp.PreserveSource)
		}
		if internalLocal {
			f.keepClients(&sp, eps, on.apart())
		}
		if sp.PreserveSource && sp.NodePort != 0 {
			for _, one := range on.apart() {
				for _, address := range on.of(one.name, f) {
					sp.ByNode = append(sp.ByNode, nodeEndpoints{address, f.endpoints(eps, p.Name, sp.Protocol, nodes{one}, true)})
				}
			}
		}
		ports = append(ports, sp)
	}
	return ports
}

// keepClients has the clients of several nodes reach the endpoints on their own: Pods by the ranges of their addresses, and
// this machine's processes, whatever address they call from, as clients of the first node.
func (f family) keepClients(sp *servicePort, eps []*discoveryv1.EndpointSlice, apart nodes) {
	for _, one := range apart {
		own := f.endpoints(eps, sp.PortName, sp.Protocol, nodes{one}, true)
		if one.first {
			sp.Internal = own
		} else if clients := one.clients(f); len(clients) > 0 {
			sp.InternalByNode = append(sp.InternalByNode, clientEndpoints{one.name, clients, own})
		}
	}
}

// endpoints are those that take new connections for one port: the ready ones, or, when there is none, those that
// are on their way out but still serve.
// See https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-to-terminating-endpoints
func (f family) endpoints(eps []*discoveryv1.EndpointSlice, port string, protocol corev1.Protocol, on nodes, local bool) []netip.AddrPort {
	var ready, leaving []netip.AddrPort
	for _, slice := range eps {
		number, ok := portNumber(slice, port, protocol)
		if !ok || slice.AddressType != f.endpointType() {
			continue
		}
		for _, ep := range slice.Endpoints {
			if len(ep.Addresses) == 0 || local && !on.has(ptr.Deref(ep.NodeName, "")) {
				continue
			}
			addr, err := netip.ParseAddr(ep.Addresses[0])
			if err != nil || !f.has(addr) {
				continue
			}
			to := netip.AddrPortFrom(addr, number)
			isReady := ptr.Deref(ep.Conditions.Ready, true)
			if isReady {
				ready = append(ready, to)
			} else if ptr.Deref(ep.Conditions.Serving, isReady) && ptr.Deref(ep.Conditions.Terminating, false) {
				leaving = append(leaving, to)
			}
		}
	}
	if len(ready) == 0 {
		ready = leaving
	}
	slices.SortFunc(ready, netip.AddrPort.Compare)
	return slices.Compact(ready)
}

// portNumber finds a Service's port by its name: named target ports are resolved in the slice already.
func portNumber(slice *discoveryv1.EndpointSlice, name string, protocol corev1.Protocol) (uint16, bool) {
	for _, p := range slice.Ports {
		if ptr.Deref(p.Name, "") == name && ptr.Deref(p.Protocol, corev1.ProtocolTCP) == protocol && p.Port != nil {
			return uint16(*p.Port), true
		}
	}
	return 0, false
}

// loadBalancerIPs are the addresses in the status of a Service, but for those whose load balancer is a proxy of its own:
// it wants to see the packets.
// https://kubernetes.io/docs/concepts/services-networking/service/#load-balancer-ip-mode
func (f family) loadBalancerIPs(svc *corev1.Service) (ips []netip.Addr) {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	for _, at := range svc.Status.LoadBalancer.Ingress {
		if ptr.Deref(at.IPMode, corev1.LoadBalancerIPModeVIP) == corev1.LoadBalancerIPModeVIP {
			ips = append(ips, f.addresses([]string{at.IP})...)
		}
	}
	return ips
}

// sourceRanges are those of the family. A Service that names only others may be reached from nowhere.
func (f family) sourceRanges(svc *corev1.Service) (ranges []netip.Prefix) {
	for _, text := range svc.Spec.LoadBalancerSourceRanges {
		if r, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil && f.has(r.Addr()) {
			ranges = append(ranges, r.Masked())
		}
	}
	if len(ranges) == 0 && len(svc.Spec.LoadBalancerSourceRanges) > 0 {
		nobody := netip.MustParseAddr(f.choose("0.0.0.0", "::"))
		ranges = []netip.Prefix{netip.PrefixFrom(nobody, nobody.BitLen())}
	}
	return ranges
}

func affinitySeconds(svc *corev1.Service) int32 {
	if svc.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		return *c.ClientIP.TimeoutSeconds
	}
	return corev1.DefaultClientIPServiceAffinitySeconds
}
