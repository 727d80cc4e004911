package netproxy

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/proxy/healthcheck"
	proxyutil "k8s.io/kubernetes/pkg/proxy/util"
	"k8s.io/utils/ptr"
)

// healthChecks answer load balancers of others that ask, at a Service's healthCheckNodePort, whether this node has
// endpoints of it: on localhost, and at the addresses that are open to other machines.
// https://kubernetes.io/docs/reference/networking/virtual-ips/#external-traffic-policy
type healthChecks struct {
	server  healthcheck.ServiceHealthServer
	ports   map[types.NamespacedName]uint16
	counts  map[types.NamespacedName]int // of endpoints on this node
	changed bool                         // since the last sync
}

func newHealthChecks(node string, opened []netip.Prefix) healthChecks {
	at := []string{"127.0.0.0/8"}
	for _, p := range opened {
		at = append(at, p.String())
	}
	addresses := proxyutil.NewNodePortAddresses(corev1.IPv4Protocol, at)
	return healthChecks{
		server: healthcheck.NewServiceHealthServer(node, nil, addresses, proxyWorks{}, corev1.IPv4Protocol),
		ports:  map[types.NamespacedName]uint16{}, counts: map[types.NamespacedName]int{},
	}
}

// proxyWorks says that the rules are up to date: while they are not, nobody calls sync.
type proxyWorks struct{}

// Health is what the answers tell of the proxy.
func (proxyWorks) Health() healthcheck.ProxyHealth { return healthcheck.ProxyHealth{Healthy: true} }

// observe notes what a Service, which may be gone, has on this machine.
func (h *healthChecks) observe(name types.NamespacedName, svc *corev1.Service, eps []*discoveryv1.EndpointSlice, on nodes) {
	wanted := svc != nil && svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal && svc.Spec.HealthCheckNodePort != 0
	if !wanted && h.ports[name] == 0 {
		return
	}
	h.changed = true
	delete(h.ports, name)
	delete(h.counts, name)
	if !wanted {
		return
	}
	local := map[string]bool{}
	for _, slice := range eps {
		if len(svc.Spec.IPFamilies) > 0 && string(svc.Spec.IPFamilies[0]) != string(slice.AddressType) {
			continue // its endpoints are there once for each family
		}
		for _, ep := range slice.Endpoints {
			if on.has(ptr.Deref(ep.NodeName, "")) && ptr.Deref(ep.Conditions.Ready, true) && len(ep.Addresses) > 0 {
				local[ep.Addresses[0]] = true
			}
		}
	}
	h.ports[name], h.counts[name] = uint16(svc.Spec.HealthCheckNodePort), len(local)
}

// sync answers for what was observed, and closes the ports of others.
func (h *healthChecks) sync() error {
	if !h.changed {
		return nil
	}
	if err := h.server.SyncServices(h.ports); err != nil {
		return err
	}
	if err := h.server.SyncEndpoints(h.counts); err != nil {
		return err
	}
	h.changed = false
	return nil
}

// close closes all ports.
func (h healthChecks) close() { _ = h.server.SyncServices(nil) } // never fails
