package netproxy

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// policySet is what NetworkPolicies allow, for any backend to translate. Whoever is in no isolation of a direction may
// do as it likes in that direction. Policies of other kinds have their place around this one: what an AdminNetworkPolicy
// says comes before an isolation's rules, what a BaselineAdminNetworkPolicy says is for those that no isolation holds.
// See https://kubernetes.io/docs/concepts/services-networking/network-policies/
type policySet struct {
	ingress, egress []isolation
	groups          map[string][]netip.Addr // the addresses of peers, sorted, by the names that allowances have for them

	// starting says that a Pod is about to run which is isolated, and whose address is not known. Nobody whose
	// address is not in the group allPods may talk until it is.
	starting bool
}

// allPods is the group of every Pod's addresses.
const allPods = "*"

// isolation is what Pods may do that the same policies select. What it does not allow is forbidden.
type isolation struct {
	id      string       // which policies, and what their named ports mean for these Pods
	pods    []netip.Addr // sorted
	allowed []allowance
}

// allowance allows everything with one of its peers at one of its ports: those of the isolated Pod for ingress, those of
// the peer for egress.
type allowance struct {
	id       string // the policy, and which of its rules
	everyone bool   // and then no groups and blocks
	groups   []string
	blocks   []addressBlock
	anyPort  bool // and any protocol; and then no ports
	ports    []portRange
}

// addressBlock is a range of addresses with holes.
type addressBlock struct {
	cidr   netip.Prefix
	except []netip.Prefix
}

// portRange is from first to last, both included. All ports of the protocol: from 0 to 65535.
type portRange struct {
	protocol    corev1.Protocol
	first, last uint16
}

func (r portRange) contains(p corev1.Protocol, port uint16) bool {
	return r.protocol == p && r.first <= port && port <= r.last
}

// dnsEndpoint is where the cluster's names are answered. There is no Pod behind it: see policyPeers.dns.
type dnsEndpoint struct {
	protocol corev1.Protocol
	at       netip.AddrPort
}

// isEmpty says that nothing is to be done.
func (s *policySet) isEmpty() bool {
	return s == nil || len(s.ingress)+len(s.egress) == 0 && !s.starting
}

// policiesOf computes what these objects mean together. Its result depends on nothing else, not even on their order.
func policiesOf(policies []*networkingv1.NetworkPolicy, namespaces []*corev1.Namespace, pods []*corev1.Pod, dns []dnsEndpoint) *policySet {
	set := &policySet{groups: map[string][]netip.Addr{}}
	peers := newPolicyPeers(namespaces, pods, dns, set.groups)
	policies = slices.SortedFunc(slices.Values(policies), func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	ingress, egress := isolations{}, isolations{}
	selecting := map[*policyPod]*selection{}
	for _, policy := range policies {
		for _, pod := range peers.selected(policy) {
			if pod.addrs == nil {
				set.starting = true
				continue
			}
			if selecting[pod] == nil {
				selecting[pod] = &selection{}
			}
			selecting[pod].add(policy)
		}
	}
	for pod, s := range selecting {
		ingress.add(s.ingress, pod, namedIngress, peers.ingress)
		egress.add(s.egress, pod, nothing, peers.egress)
	}
	set.ingress, set.egress = ingress.sorted(), egress.sorted()
	if set.starting {
		set.groups[allPods] = peers.addresses(func(*policyPod) bool { return true })
	}
	return set
}

// selection are the policies that select one Pod.
type selection struct{ ingress, egress []*networkingv1.NetworkPolicy }

// add counts a policy for the directions that it is about. The API fills in policyTypes when an object is created.
func (s *selection) add(policy *networkingv1.NetworkPolicy) {
	types := policy.Spec.PolicyTypes
	if len(types) == 0 || slices.Contains(types, networkingv1.PolicyTypeIngress) {
		s.ingress = append(s.ingress, policy)
	}
	if len(types) == 0 && len(policy.Spec.Egress) > 0 || slices.Contains(types, networkingv1.PolicyTypeEgress) {
		s.egress = append(s.egress, policy)
	}
}

// isolations are those of one direction by their ids.
type isolations map[string]*isolation

// add puts a Pod among those that the same policies select. rules says what one policy allows the Pod; depends adds to an
// id what of the Pod that depends on.
func (all isolations) add(policies []*networkingv1.NetworkPolicy, pod *policyPod,
	depends func(*networkingv1.NetworkPolicy, *policyPod) string, rules func(*networkingv1.NetworkPolicy, *policyPod) []allowance) {
	if len(policies) == 0 {
		return
	}
	var name strings.Builder
	for _, policy := range policies {
		for _, part := range [...]string{policy.Namespace, "/", policy.Name, depends(policy, pod), " "} {
			name.WriteString(part)
		}
	}
	id := name.String()
	one := all[id]
	if one == nil {
		one = &isolation{id: id}
		for _, policy := range policies {
			one.allowed = append(one.allowed, rules(policy, pod)...)
		}
		all[id] = one
	}
	one.pods = append(one.pods, pod.addrs...)
}

func nothing(*networkingv1.NetworkPolicy, *policyPod) string { return "" }

func (all isolations) sorted() (list []isolation) {
	for _, one := range all {
		slices.SortFunc(one.pods, netip.Addr.Compare)
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b isolation) int { return cmp.Compare(a.id, b.id) })
	return list
}
