package netproxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// policyPeers finds who is meant by the selectors and ports of policies.
type policyPeers struct {
	namespaces map[string]labels.Set
	pods       []*policyPod
	byName     map[string][]*policyPod // by namespace
	dns        []dnsEndpoint
	groups     map[string][]netip.Addr // those that were asked for
}

// policyPod is what policies know of a Pod.
type policyPod struct {
	namespace string
	labels    labels.Set
	addrs     []netip.Addr // none: not known yet
	ports     map[portName][]uint16
}

type portName struct {
	name     string
	protocol corev1.Protocol
}

// dnsPod stands for the cluster's DNS server, for which there is no Pod here: policies select it as CoreDNS's Pods in
// other clusters.
var dnsPod = policyPod{
	namespace: metav1.NamespaceSystem,
	labels:    labels.Set{"k8s-app": "kube-dns"},
	ports:     map[portName][]uint16{{"dns", corev1.ProtocolUDP}: {dnsPort}, {"dns-tcp", corev1.ProtocolTCP}: {dnsPort}},
}

// dnsPort is the one that policies name, whatever the server's own is.
const dnsPort = 53

// newPolicyPeers knows the Pods that have an address of their own now, or will have. Those that ended have none, and of
// several that say that they have the same one it is the newest's.
func newPolicyPeers(namespaces []*corev1.Namespace, pods []*corev1.Pod, dns []dnsEndpoint, groups map[string][]netip.Addr) *policyPeers {
	p := &policyPeers{
		namespaces: make(map[string]labels.Set, len(namespaces)), byName: map[string][]*policyPod{}, dns: dns, groups: groups,
	}
	for _, ns := range namespaces {
		p.namespaces[ns.Name] = ns.Labels
	}
	pods = slices.SortedFunc(slices.Values(pods), func(a, b *corev1.Pod) int {
		return cmp.Or(-a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	taken := map[netip.Addr]bool{}
	for _, pod := range pods {
		if !onPodNetwork(pod) {
			continue
		}
		one := &policyPod{namespace: pod.Namespace, labels: pod.Labels, ports: namedPorts(pod)}
		for _, ip := range podAddresses(pod) {
			if !taken[ip] {
				taken[ip] = true
				one.addrs = append(one.addrs, ip)
			}
		}
		if len(one.addrs) == 0 && (len(pod.Status.PodIPs) > 0 || pod.DeletionTimestamp != nil) {
			continue // it had one
		}
		p.pods = append(p.pods, one)
		p.byName[one.namespace] = append(p.byName[one.namespace], one)
	}
	return p
}

// onPodNetwork says that a Pod has, or is about to have, an address that is not the node's.
func onPodNetwork(pod *corev1.Pod) bool {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	return pod.Spec.NodeName != "" && !pod.Spec.HostNetwork && !ended
}

func podAddresses(pod *corev1.Pod) (addrs []netip.Addr) {
	for _, ip := range pod.Status.PodIPs {
		if addr, err := netip.ParseAddr(ip.IP); err == nil {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

func namedPorts(pod *corev1.Pod) map[portName][]uint16 {
	var ports map[portName][]uint16
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			for _, p := range c.Ports {
				if p.Name == "" {
					continue
				}
				if ports == nil {
					ports = map[portName][]uint16{}
				}
				key := portName{p.Name, cmp.Or(p.Protocol, corev1.ProtocolTCP)}
				ports[key] = append(ports[key], uint16(p.ContainerPort))
			}
		}
	}
	return ports
}

// selected are the Pods that a policy is about.
func (p *policyPeers) selected(policy *networkingv1.NetworkPolicy) (pods []*policyPod) {
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	if err != nil {
		return nil // the API admits none
	}
	for _, pod := range p.byName[policy.Namespace] {
		if selector.Matches(pod.labels) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// addresses are sorted.
func (p *policyPeers) addresses(is func(*policyPod) bool) (addrs []netip.Addr) {
	for _, pod := range p.pods {
		if is(pod) {
			addrs = append(addrs, pod.addrs...)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// podMatcher is one peer's selectors.
type podMatcher struct {
	id string // the same for the same selectors, in whichever policy they stand
	is func(*policyPod) bool
}

// matcher translates selectors that stand in a policy of this namespace.
func (p *policyPeers) matcher(namespace string, peer networkingv1.NetworkPolicyPeer) (podMatcher, error) {
	m, in := podMatcher{id: "in " + namespace}, map[string]bool{namespace: true}
	if peer.NamespaceSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(peer.NamespaceSelector)
		if err != nil {
			return m, err
		}
		m.id = "in those with " + selector.String()
		clear(in)
		for name, set := range p.namespaces {
			in[name] = selector.Matches(set)
		}
	}
	pods := labels.Everything()
	if peer.PodSelector != nil {
		var err error
		if pods, err = metav1.LabelSelectorAsSelector(peer.PodSelector); err != nil {
			return m, err
		}
	}
	m.id += ": " + pods.String()
	m.is = func(pod *policyPod) bool { return in[pod.namespace] && pods.Matches(pod.labels) }
	return m, nil
}

// group makes sure that there is one for the Pods, and returns its name.
func (p *policyPeers) group(id string, is func(*policyPod) bool) string {
	if _, ok := p.groups[id]; !ok {
		p.groups[id] = p.addresses(is)
	}
	return id
}

// ingress is what a policy lets come to a Pod. Named ports are the Pod's.
func (p *policyPeers) ingress(policy *networkingv1.NetworkPolicy, pod *policyPod) (allowed []allowance) {
	for i, rule := range policy.Spec.Ingress {
		a := p.allowance(policy, "ingress", i, rule.From)
		named := map[portName]bool{}
		a.anyPort, a.ports = portRanges(rule.Ports, named)
		for _, name := range sortedNames(named) {
			for _, number := range pod.ports[name] {
				a.ports = append(a.ports, portRange{name.protocol, number, number})
			}
		}
		allowed = a.appendTo(allowed)
	}
	return allowed
}

// namedIngress is what a policy's named ports are for a Pod.
func namedIngress(policy *networkingv1.NetworkPolicy, pod *policyPod) (numbers string) {
	named := map[portName]bool{}
	for _, rule := range policy.Spec.Ingress {
		for _, p := range rule.Ports {
			if p.Port != nil && p.Port.Type == intstr.String {
				named[portName{p.Port.StrVal, ptr.Deref(p.Protocol, corev1.ProtocolTCP)}] = true
			}
		}
	}
	for _, name := range sortedNames(named) {
		numbers += fmt.Sprintf(" %s=%v", name, pod.ports[name])
	}
	return numbers
}

// egress is where a policy lets Pods go. Named ports are those of the Pods that are there.
func (p *policyPeers) egress(policy *networkingv1.NetworkPolicy, _ *policyPod) (allowed []allowance) {
	for i, rule := range policy.Spec.Egress {
		a := p.allowance(policy, "egress", i, rule.To)
		named := map[portName]bool{}
		a.anyPort, a.ports = portRanges(rule.Ports, named)
		allowed = a.appendTo(allowed)
		for _, name := range sortedNames(named) {
			allowed = append(allowed, p.egressNamed(policy.Namespace, a.id, rule.To, name)...)
		}
		if dns := p.egressDNS(policy.Namespace, a, rule, named); dns.ports != nil {
			allowed = append(allowed, dns)
		}
	}
	return allowed
}

// allowance has everything but ports.
func (p *policyPeers) allowance(policy *networkingv1.NetworkPolicy, direction string, i int, peers []networkingv1.NetworkPolicyPeer) allowance {
	a := allowance{id: fmt.Sprintf("%s/%s %s %d", policy.Namespace, policy.Name, direction, i), everyone: len(peers) == 0}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if block, err := blockOf(peer.IPBlock); err == nil {
				a.blocks = append(a.blocks, block)
			}
		} else if m, err := p.matcher(policy.Namespace, peer); err == nil {
			a.groups = append(a.groups, p.group(m.id, m.is))
		}
	}
	return a
}

// appendTo leaves out what allows nothing.
func (a allowance) appendTo(all []allowance) []allowance {
	if !a.everyone && len(a.groups)+len(a.blocks) == 0 || !a.anyPort && len(a.ports) == 0 {
		return all
	}
	return append(all, a)
}

// egressNamed allows a named port at the Pods that have it, with an allowance for each number that it has.
func (p *policyPeers) egressNamed(namespace, id string, to []networkingv1.NetworkPolicyPeer, name portName) (allowed []allowance) {
	if len(to) == 0 {
		to = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	}
	byNumber := map[uint16][]string{} // groups
	for _, peer := range to {
		m, err := p.matcher(namespace, peer)
		if peer.IPBlock != nil || err != nil {
			continue
		}
		for _, number := range p.numbers(m, name) {
			group := p.group(fmt.Sprintf("%s with %s=%d", m.id, name, number), func(pod *policyPod) bool {
				return m.is(pod) && slices.Contains(pod.ports[name], number)
			})
			byNumber[number] = append(byNumber[number], group)
		}
	}
	for number, groups := range byNumber {
		allowed = append(allowed, allowance{
			id: fmt.Sprintf("%s %s=%d", id, name, number), groups: groups, ports: []portRange{{name.protocol, number, number}},
		})
	}
	slices.SortFunc(allowed, func(a, b allowance) int { return cmp.Compare(a.id, b.id) })
	return allowed
}

// numbers are those that a named port has at Pods.
func (p *policyPeers) numbers(m podMatcher, name portName) (numbers []uint16) {
	for _, pod := range p.pods {
		if m.is(pod) {
			numbers = append(numbers, pod.ports[name]...)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// egressDNS allows the cluster's DNS server to whom a rule allows port 53 of dnsPod, or of its address: the server is
// at an address of the node, at which there is more, and its own port may be another.
func (p *policyPeers) egressDNS(namespace string, a allowance, rule networkingv1.NetworkPolicyEgressRule, named map[portName]bool) allowance {
	dns := allowance{id: a.id + " dns"}
	for _, server := range p.dns {
		wanted := a.anyPort || slices.ContainsFunc(a.ports, func(r portRange) bool { return r.contains(server.protocol, dnsPort) })
		for name := range named {
			wanted = wanted || name.protocol == server.protocol && dnsPod.ports[name] != nil
		}
		if !wanted || !p.meansDNS(namespace, rule.To, server.at.Addr()) {
			continue
		}
		group := "dns " + server.at.Addr().String()
		p.groups[group] = []netip.Addr{server.at.Addr()}
		if !slices.Contains(dns.groups, group) {
			dns.groups = append(dns.groups, group)
		}
		dns.ports = append(dns.ports, portRange{server.protocol, server.at.Port(), server.at.Port()})
	}
	return dns
}

func (p *policyPeers) meansDNS(namespace string, to []networkingv1.NetworkPolicyPeer, server netip.Addr) bool {
	return len(to) == 0 || slices.ContainsFunc(to, func(peer networkingv1.NetworkPolicyPeer) bool {
		if peer.IPBlock != nil {
			block, err := blockOf(peer.IPBlock)
			return err == nil && block.contains(server)
		}
		m, err := p.matcher(namespace, peer)
		return err == nil && m.is(&dnsPod)
	})
}

func (b addressBlock) contains(a netip.Addr) bool {
	return b.cidr.Contains(a) && !slices.ContainsFunc(b.except, func(e netip.Prefix) bool { return e.Contains(a) })
}

// blockOf fails for what the API does not admit. A hole that cannot be read must not be closed.
func blockOf(b *networkingv1.IPBlock) (block addressBlock, err error) {
	if block.cidr, err = netip.ParsePrefix(strings.TrimSpace(b.CIDR)); err != nil {
		return block, err
	}
	block.cidr = block.cidr.Masked()
	for _, text := range b.Except {
		hole, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return block, err
		}
		block.except = append(block.except, hole.Masked())
	}
	return block, nil
}

// portRanges are those with numbers; names go into named.
func portRanges(ports []networkingv1.NetworkPolicyPort, named map[portName]bool) (all bool, ranges []portRange) {
	for _, p := range ports {
		protocol := ptr.Deref(p.Protocol, corev1.ProtocolTCP)
		switch {
		case p.Port == nil:
			ranges = append(ranges, portRange{protocol, 0, 65535})
		case p.Port.Type == intstr.String:
			named[portName{p.Port.StrVal, protocol}] = true
		default:
			first := uint16(p.Port.IntVal)
			ranges = append(ranges, portRange{protocol, first, uint16(ptr.Deref(p.EndPort, p.Port.IntVal))})
		}
	}
	return len(ports) == 0, ranges
}

func sortedNames(named map[portName]bool) (names []portName) {
	for name := range named {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b portName) int { return cmp.Compare(a.String(), b.String()) })
	return names
}

func (n portName) String() string { return n.name + "/" + string(n.protocol) }
