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
	server healthcheck.ServiceHealthServer
}

func newHealthChecks(node string, opened []netip.Prefix) healthChecks {
	at := []string{"127.0.0.0/8"}
	for _, p := range opened {
		at = append(at, p.String())
	}
	addresses := proxyutil.NewNodePortAddresses(corev1.IPv4Protocol, at)
	return healthChecks{healthcheck.NewServiceHealthServer(node, nil, addresses, proxyWorks{}, corev1.IPv4Protocol)}
}

// proxyWorks says that the rules are up to date: while they are not, nobody calls sync.
type proxyWorks struct{}

// Health is what the answers tell of the proxy.
func (proxyWorks) Health() healthcheck.ProxyHealth { return healthcheck.ProxyHealth{Healthy: true} }

// sync answers for these Services, and closes the ports of others.
func (h healthChecks) sync(services []*corev1.Service, eps []*discoveryv1.EndpointSlice, node string) error {
	ports, local := map[types.NamespacedName]uint16{}, map[types.NamespacedName]map[string]bool{}
	for _, svc := range services {
		if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal && svc.Spec.HealthCheckNodePort != 0 {
			ports[types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}] = uint16(svc.Spec.HealthCheckNodePort)
		}
	}
	for _, slice := range eps {
		owner := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		if ports[owner] == 0 {
			continue
		}
		for _, ep := range slice.Endpoints {
			if ptr.Deref(ep.NodeName, "") == node && ptr.Deref(ep.Conditions.Ready, true) && len(ep.Addresses) > 0 {
				if local[owner] == nil {
					local[owner] = map[string]bool{}
				}
				local[owner][ep.Addresses[0]] = true
			}
		}
	}
	counts := make(map[types.NamespacedName]int, len(local))
	for owner, addresses := range local {
		counts[owner] = len(addresses)
	}
	if err := h.server.SyncServices(ports); err != nil {
		return err
	}
	return h.server.SyncEndpoints(counts)
}

// close closes all ports.
func (h healthChecks) close() { _ = h.server.SyncServices(nil) } // never fails
