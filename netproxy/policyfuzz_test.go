package netproxy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// dice makes policies by chance, from few words, so that they mean something.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 1))} }

func (d dice) selector() metav1.LabelSelector {
	switch d.IntN(4) {
	case 0:
		return metav1.LabelSelector{}
	case 1:
		operator := []metav1.LabelSelectorOperator{metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn}[d.IntN(2)]
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: operator, Values: []string{"web", "db"}}}}
	}
	return metav1.LabelSelector{MatchLabels: map[string]string{"app": []string{"web", "db", "client", "none"}[d.IntN(4)]}}
}

func (d dice) peers() (peers []networkingv1.NetworkPolicyPeer) {
	blocks := []string{"0.0.0.0/0", "10.244.0.0/30", "10.244.0.4/31", "198.51.100.0/24", "10.244.0.3/32", "fd00::/8"}
	for range d.IntN(4) {
		peer := networkingv1.NetworkPolicyPeer{}
		if d.IntN(3) == 0 {
			peer.IPBlock = &networkingv1.IPBlock{CIDR: blocks[d.IntN(len(blocks))]}
			for range d.IntN(3) {
				peer.IPBlock.Except = append(peer.IPBlock.Except, blocks[1+d.IntN(len(blocks)-1)])
			}
		} else {
			pods := d.selector()
			peer.PodSelector = &pods
			if d.IntN(2) == 0 {
				peer.NamespaceSelector = &metav1.LabelSelector{}
				if d.IntN(2) == 0 {
					peer.NamespaceSelector.MatchLabels = map[string]string{"env": []string{"prod", "dev", "system"}[d.IntN(3)]}
				}
			}
		}
		peers = append(peers, peer)
	}
	return peers
}

func (d dice) ports() (ports []networkingv1.NetworkPolicyPort) {
	for range d.IntN(3) {
		protocol := protocols()[d.IntN(3)]
		p := networkingv1.NetworkPolicyPort{Protocol: &protocol}
		switch d.IntN(4) {
		case 0:
			name := intstr.FromString([]string{"http", "dns", "dns-tcp"}[d.IntN(3)])
			p.Port = &name
		case 1, 2:
			number := intstr.FromInt32([]int32{53, 8080, 9090}[d.IntN(3)])
			p.Port = &number
			if last := int32(9000 + d.IntN(1000)); d.IntN(2) == 0 {
				p.EndPort = &last
			}
		}
		ports = append(ports, p)
	}
	return ports
}

func (d dice) policies() (all []*networkingv1.NetworkPolicy) {
	for n := range 1 + d.IntN(4) {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: []string{"default", "other"}[d.IntN(2)], Name: fmt.Sprintf("p%d", n)}}
		p.Spec.PodSelector = d.selector()
		p.Spec.PolicyTypes = [][]networkingv1.PolicyType{nil, {networkingv1.PolicyTypeIngress}, {networkingv1.PolicyTypeEgress},
			{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}}[d.IntN(4)]
		for range d.IntN(3) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: d.peers(), Ports: d.ports()})
		}
		for range d.IntN(3) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: d.peers(), Ports: d.ports()})
		}
		all = append(all, p)
	}
	return all
}

// FuzzPolicies: whatever the policies, the rules let pass what the description allows, and iptables takes them.
func FuzzPolicies(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		d := newDice(seed)
		set := policiesOf(d.policies(), policyNamespaces(), policyPods(), policyDNS())
		text := policyRuleset(set).String()
		tracer := newTracer(t, text)
		hosts := []string{podA, podB, podC, podD, strangerLAN, gateway}
		for range 50 {
			from, to := hosts[d.IntN(5)], hosts[d.IntN(6)]
			if from == strangerLAN && to == gateway {
				continue // nobody's pod
			}
			protocol, port := protocols()[d.IntN(3)], []uint16{53, 8080, 9090, 9500, 1}[d.IntN(5)]
			end := netip.AddrPortFrom(netip.MustParseAddr(to), port)
			want := set.allows(netip.MustParseAddr(from), end.Addr(), protocol, port)
			if got := trace(tracer, from, strings.ToLower(string(protocol))+"://"+end.String()); (got == untouched) != want {
				t.Fatalf("%s to %s %s: %s, want allowed %v\n%s", from, end, protocol, got, want, text)
			}
		}
		if os.Getenv(insideEnv) == "" {
			return
		}
		cmd := exec.Command("iptables-restore", "--noflush", "--test")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, text)
		}
	})
}
