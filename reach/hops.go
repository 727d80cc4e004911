package reach

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

const (
	// maxEndpoints is how many of a port's are connected to. They are mostly alike.
	maxEndpoints = 10
	// maxPorts is how many ports of a Service are looked at, which bounds the connections.
	maxPorts = 10
)

// proxyNameLabel on a Service means that another proxy serves it, so that its rules are not ours to look for.
// See https://kubernetes.io/docs/reference/labels-annotations-taints/#servicekubernetesioservice-proxy-name
const proxyNameLabel = "service.kubernetes.io/service-proxy-name"

// ports are those of TCP, with the hops that are to be tried.
func (r *Room) ports(s *corev1.Service, eps []*discoveryv1.EndpointSlice) []Port {
	out := []Port{}
	for _, p := range s.Spec.Ports {
		if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP || len(out) == maxPorts {
			continue
		}
		endpoints := endpointsOf(p.Name, eps)
		port := Port{Port: p.Port, Rules: []Rule{}, Hops: slices.Clip(endpoints[:min(maxEndpoints, len(endpoints))])}
		if len(endpoints) > 0 { // without them the others have nowhere to lead
			r.addAddresses(&port, s, p, endpoints)
		}
		out = append(out, port)
	}
	return out
}

// addAddresses adds where clients connect to.
func (r *Room) addAddresses(port *Port, s *corev1.Service, p corev1.ServicePort, endpoints []Hop) {
	add := func(kind Kind, ip netip.Addr, number int32) {
		port.Hops = append(port.Hops, Hop{Kind: kind, Address: netip.AddrPortFrom(ip, uint16(number)).String()})
	}
	var clusterIPs, balancers []netip.Addr
	for _, ip := range addresses(s.Spec.ClusterIPs) {
		has := func(e Hop) bool { return netip.MustParseAddrPort(e.Address).Addr().Is4() == ip.Is4() }
		if slices.ContainsFunc(endpoints, has) { // pods may have one IP family where the Service has two
			clusterIPs = append(clusterIPs, ip)
		}
	}
	for _, at := range s.Status.LoadBalancer.Ingress {
		balancers = append(balancers, addresses([]string{at.IP})...)
	}
	_, foreign := s.Labels[proxyNameLabel]
	for _, ip := range clusterIPs {
		add(ClusterIP, ip, p.Port)
		if !foreign {
			port.Rules = append(port.Rules, Rule{Address: netip.AddrPortFrom(ip, uint16(p.Port)).String()})
		}
	}
	for _, ip := range r.opts.NodeAddresses {
		if p.NodePort != 0 && slices.ContainsFunc(clusterIPs, func(c netip.Addr) bool { return c.Is4() == ip.Is4() }) {
			add(NodePort, ip, p.NodePort)
		}
	}
	for _, ip := range balancers {
		add(LoadBalancer, ip, p.Port)
	}
}

// endpointsOf are the ready ones of a port, all of them, each once.
func endpointsOf(port string, eps []*discoveryv1.EndpointSlice) []Hop {
	out := []Hop{}
	for _, slice := range eps {
		n := slices.IndexFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool {
			return ptr.Deref(p.Name, "") == port && ptr.Deref(p.Protocol, corev1.ProtocolTCP) == corev1.ProtocolTCP && p.Port != nil
		})
		if n < 0 {
			continue
		}
		for _, e := range slice.Endpoints {
			ips := addresses(e.Addresses)
			if !ptr.Deref(e.Conditions.Ready, true) || len(ips) == 0 {
				continue
			}
			hop := Hop{Kind: Endpoint, Address: netip.AddrPortFrom(ips[0], uint16(*slice.Ports[n].Port)).String()}
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				hop.Pod = e.TargetRef.Name
			}
			if !slices.Contains(out, hop) {
				out = append(out, hop)
			}
		}
	}
	return out
}

// published is what the Service's name stands for: its ClusterIPs, or without them its ready endpoints.
func published(s *corev1.Service, eps []*discoveryv1.EndpointSlice) []netip.Addr {
	out := addresses(s.Spec.ClusterIPs)
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		for _, slice := range eps {
			for _, e := range slice.Endpoints {
				if ptr.Deref(e.Conditions.Ready, true) {
					out = append(out, addresses(e.Addresses)...)
				}
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// addresses parses those that are some.
func addresses(texts []string) []netip.Addr {
	out := []netip.Addr{}
	for _, text := range texts {
		if ip, err := netip.ParseAddr(text); err == nil {
			out = append(out, ip)
		}
	}
	return out
}
