package why

import (
	"fmt"
	"net"
	"strings"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func serviceObject(s *v1.Service) Object { return Object{"Service", s.Namespace, s.Name} }

// service follows a Service to the pods behind it, to their ports, and back to where it is reached, which a node of kube-lite tries.
func (l *look) service(s *v1.Service) links {
	at := serviceObject(s)
	switch {
	case s.DeletionTimestamp != nil:
		return links{l.ending(at, s)}
	case s.Spec.Type == v1.ServiceTypeExternalName:
		return l.alias(s)
	case len(s.Spec.Selector) == 0:
		return links{l.byHand(s)}
	}
	pods := l.selected(s)
	if len(pods) == 0 {
		return l.matchesNone(s)
	}
	var ready []*v1.Pod
	for _, p := range pods {
		if c := condition(p, v1.PodReady); s.Spec.PublishNotReadyAddresses || c != nil && c.Status == v1.ConditionTrue {
			ready = append(ready, p)
		}
	}
	first := well(at, "its selector %s matches %s, %d of them ready", labelText(s.Spec.Selector), count(len(pods), "pod"), len(ready))
	if len(ready) == 0 {
		first.State, first.Sentence = Waiting, fmt.Sprintf("its selector %s matches %s, and none is ready", labelText(s.Spec.Selector), count(len(pods), "pod"))
		return append(links{first}, l.worstPod(pods)...)
	}
	for n := range s.Spec.Ports {
		if found, ok := l.targetPort(s, n, ready); ok {
			return append(links{first.waits()}, found)
		}
	}
	for n := range s.Spec.Ports {
		for _, p := range ready {
			port := targetNumber(s.Spec.Ports[n], p)
			if found, ok := l.isolated(p, protocolOf(s.Spec.Ports[n]), port); ok && port != 0 {
				return append(links{first.waits()}, found)
			}
		}
	}
	if l.endpoints(s) == 0 {
		return links{first.waits(), waiting(at, "its pods are ready, and its endpoints are not written yet").seen("no EndpointSlice of it has a ready address")}
	}
	if s.Spec.Type == v1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) == 0 {
		return links{first.waits(), l.noAddress(s)}
	}
	if found, ok := l.nameServer(); ok {
		return links{first.waits(), found}
	}
	lost, isLost, seen := l.reached(s, ready[0].Spec.NodeName)
	if isLost {
		return links{first.waits(), lost}
	}
	found := append(links{first}, l.intercepted(s, ready[0].Spec.NodeName)...)
	return append(found, well(at, "is reached at %s", strings.Join(l.addresses(s), ", ")).seen(l.restrictions(s, ready)...).seen(seen...))
}

// The Service that pods ask for names, in most clusters.
const (
	dnsNamespace = "kube-system"
	dnsService   = "kube-dns"
)

// nameServer tells of a cluster whose DNS answers nobody. Who may not read that namespace is told nothing.
func (l *look) nameServer() (Link, bool) {
	dns, err := l.client.CoreV1().Services(dnsNamespace).Get(l.ctx, dnsService, metav1.GetOptions{})
	if err != nil {
		return Link{}, false
	}
	if _, err := l.client.DiscoveryV1().EndpointSlices(dnsNamespace).List(l.ctx, metav1.ListOptions{Limit: 1}); err != nil || l.endpoints(dns) > 0 {
		return Link{}, false
	}
	return broken(serviceObject(dns), "has no ready endpoint, so that pods find no Service by its name").
		seen("no EndpointSlice of it has a ready address").mended(l.command(dnsNamespace, "get pods")), true
}

// waits is the link, with what follows not well.
func (l Link) waits() Link {
	l.State = Waiting
	return l
}

// selected are the pods that a Service means.
func (l *look) selected(s *v1.Service) (out []*v1.Pod) {
	selector := labels.SelectorFromSet(s.Spec.Selector)
	all := l.pods(s.Namespace)
	for n := range all {
		if p := &all[n]; selector.Matches(labels.Set(p.Labels)) && p.Status.Phase != v1.PodSucceeded && p.Status.Phase != v1.PodFailed {
			out = append(out, p)
		}
	}
	return out
}

// alias explains a Service that is another name of something.
func (l *look) alias(s *v1.Service) links {
	at, name := serviceObject(s), s.Spec.ExternalName
	if net.ParseIP(name) != nil {
		return links{broken(at, "is an alias of %s, which is an address: DNS has aliases of names only", quote(name)).seen("spec.externalName: " + name).
			mended(note(l.command(s.Namespace, "replace --force -f FILE"), "a Service without a selector, and an EndpointSlice with the address"))}
	}
	parts := strings.Split(strings.TrimSuffix(name, "."), ".")
	if len(parts) < 3 || parts[2] != "svc" {
		return links{well(at, "is an alias of %s, which is outside of the cluster", name)}
	}
	target, found := get(l, "service", parts[0], l.client.CoreV1().Services(parts[1]))
	switch found {
	case missing:
		var names []string
		if all, ok := listOf(l, "services", parts[1], l.client.CoreV1().Services(parts[1])); ok {
			names = named(all.Items, func(s *v1.Service) string { return s.Name })
		}
		return links{broken(at, "is an alias of the Service %s of namespace %s, which does not exist%s", quote(parts[0]), parts[1], orNearest(parts[0], names)).
			seen("spec.externalName: " + name).
			mended(l.command(s.Namespace, `patch service %s --type=merge -p '{"spec":{"externalName":"NAME.NAMESPACE.svc.cluster.local"}}'`, s.Name))}
	case unreadable:
		return links{Link{Object: at, State: Unknown, Sentence: "is an alias of " + name}}
	}
	if target.Spec.Type == v1.ServiceTypeExternalName {
		return links{well(at, "is an alias of %s, which is an alias itself, of %s", name, target.Spec.ExternalName)}
	}
	return led(well(at, "is an alias of the Service %s of namespace %s", parts[0], parts[1]), l.service(target))
}

// byHand explains a Service without a selector: somebody else says where it leads.
func (l *look) byHand(s *v1.Service) Link {
	at := serviceObject(s)
	if n := l.endpoints(s); n > 0 {
		return well(at, "has no selector; its EndpointSlices, made by hand, have %d ready %s", n, plural(n, "address", "addresses"))
	}
	return broken(at, "has no selector, so it finds no pods by itself, and no EndpointSlice gives it an address").
		seen("spec.selector is empty", "no EndpointSlice with the label "+discoveryv1.LabelServiceName+"="+s.Name+" has a ready address").
		mended(l.command(s.Namespace, "set selector service %s KEY=VALUE", s.Name))
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// endpoints counts the ready addresses of a Service.
func (l *look) endpoints(s *v1.Service) (n int) {
	slices, ok := listOf(l, "endpointslices", s.Namespace, l.client.DiscoveryV1().EndpointSlices(s.Namespace))
	if !ok {
		return 0
	}
	for _, slice := range slices.Items {
		if slice.Labels[discoveryv1.LabelServiceName] != s.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				n += len(e.Addresses)
			}
		}
	}
	return n
}

// noAddress explains a load balancer that nobody has made.
func (l *look) noAddress(s *v1.Service) Link {
	at := serviceObject(s)
	if class := deref(s.Spec.LoadBalancerClass); class != "" {
		return broken(at, "has no address: its loadBalancerClass %s leaves that to another program, which has given it none", quote(class)).
			seen("spec.loadBalancerClass: " + class).mended(note(l.command(s.Namespace, "replace --force -f FILE"), "the Service without spec.loadBalancerClass"))
	}
	if failed := l.events(s.Namespace, s.UID, "SyncLoadBalancerFailed", "UpdateLoadBalancerFailed", "AllocationFailed"); len(failed) > 0 {
		return broken(at, "has no address: its load balancer cannot be made: %s", firstLine(failed[0].Message)).seen(l.eventLine(failed[0]))
	}
	return waiting(at, "has no address yet: status.loadBalancer is empty").seen(l.eventLines(1, l.events(s.Namespace, s.UID))...)
}

// addresses are where a Service is reached.
func (l *look) addresses(s *v1.Service) (out []string) {
	for _, p := range s.Spec.Ports {
		if s.Spec.ClusterIP == v1.ClusterIPNone {
			out = append(out, fmt.Sprintf("the pods' own addresses by the name %s.%s (it is headless)", s.Name, s.Namespace))
			break
		}
		for _, ip := range s.Spec.ClusterIPs {
			out = append(out, net.JoinHostPort(ip, fmt.Sprint(p.Port)))
		}
		if p.NodePort > 0 {
			out = append(out, fmt.Sprintf("port %d of the nodes", p.NodePort))
		}
		for _, i := range s.Status.LoadBalancer.Ingress {
			out = append(out, net.JoinHostPort(orElse(i.IP, i.Hostname), fmt.Sprint(p.Port)))
		}
	}
	if len(out) == 0 {
		return []string{"the pods' own addresses by the name " + s.Name + "." + s.Namespace}
	}
	return out
}
