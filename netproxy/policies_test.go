package netproxy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// allows is what a policySet says, in the words of its own comments.
func (s *policySet) allows(from, to netip.Addr, protocol corev1.Protocol, port uint16) bool {
	in := func(isolations []isolation, pod, peer netip.Addr) bool {
		for _, i := range isolations {
			if slices.Contains(i.pods, pod) && pod != peer {
				return slices.ContainsFunc(i.allowed, func(a allowance) bool {
					ports := a.anyPort || slices.ContainsFunc(a.ports, func(r portRange) bool { return r.contains(protocol, port) })
					return ports && (a.everyone ||
						slices.ContainsFunc(a.groups, func(g string) bool { return slices.Contains(s.groups[g], peer) }) ||
						slices.ContainsFunc(a.blocks, func(b addressBlock) bool { return b.contains(peer) }))
				})
			}
		}
		return true
	}
	return in(s.egress, from, to) && in(s.ingress, to, from)
}

func TestWhatPoliciesMean(t *testing.T) {
	for _, c := range policyCases {
		t.Run(c.says, func(t *testing.T) {
			set := c.set(t)
			c.probes(func(probe, from, to string, passes bool) {
				if from == "host" {
					return // nothing is said of it: it may always
				}
				protocol, at, _ := strings.Cut(to, "://")
				end := netip.MustParseAddrPort(at)
				got := set.allows(netip.MustParseAddr(from), end.Addr(), corev1.Protocol(strings.ToUpper(protocol)), end.Port())
				if got != passes {
					t.Errorf("%s: passes %v, want %v", probe, got, passes)
				}
			})
		})
	}
}

// atTheBorder tells whether our rules let nobody pass, whatever policies say: other machines, to Pods by IPv6.
func (f family) atTheBorder(from, to string) bool {
	return f == ipv6 && from == strangerLAN && strings.Contains(to, "//10.244.")
}

func TestEveryPolicyIsTraced(t *testing.T) {
	for _, mode := range modes() {
		for _, f := range families() {
			for _, c := range policyCases {
				t.Run(string(mode)+"/"+f.ip()+"/"+c.says, func(t *testing.T) {
					w := newWalker(t, mode, f.policyDesired(c.setOf(t, f)))
					c.probes(func(probe, from, to string, passes bool) {
						passes = passes && !f.atTheBorder(from, to)
						if got := trace(w, f.text(from), f.text(to)); (got == untouched) != passes || got != untouched && got != "dropped" {
							t.Errorf("%s: %s, want passes %v", probe, got, passes)
						}
					})
				})
			}
		}
	}
}

// Services are translated before policies are asked, and a Pod may reach itself through its own.
func TestPoliciesSeeWhereServicesLead(t *testing.T) {
	denied := policyCase{policies: policyText("deny", `{podSelector: {}, policyTypes: [Ingress, Egress]}`)}
	allowed := policyCase{policies: policyText("out", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 8080}]}]}`)}
	for _, c := range []struct {
		says, from, to, want string
		policies             policyCase
	}{
		{"itself through its own Service", podA, "tcp://10.96.0.3:80", "10.244.0.2:8080<-10.244.0.1", denied},
		{"itself through its own NodePort", podA, "tcp://10.244.0.1:30081", "10.244.0.2:8080<-10.244.0.1", denied},
		{"another to its Service", podB, "tcp://10.96.0.3:80", "dropped", denied},
		{"another to its NodePort", podB, "tcp://10.244.0.1:30081", "dropped", denied},
		{"this machine to its Service", "host", "tcp://10.96.0.3:80", "10.244.0.2:8080<-10.244.0.1", denied},
		{"this machine to its NodePort", "host", "tcp://127.0.0.1:30081", "10.244.0.2:8080<-10.244.0.1", denied},
		{"a Service of several", podA, "tcp://10.96.0.2:80", "10.244.0.2:8080<-10.244.0.1 dropped", denied},
		{"a Service by the port of its Pods", podA, "tcp://10.96.0.2:80", "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.2", allowed},
		{"a Service by another port of its Pods", podA, "tcp://10.96.0.2:81", "10.244.0.2:9090<-10.244.0.1 dropped", allowed},
		{"the API server through its Service", podA, "tcp://10.96.0.1:443", "dropped", allowed},
		{"a Service without endpoints", podA, "tcp://10.96.0.4:80", refused, denied},
	} {
		for _, mode := range modes() {
			if got := trace(newWalker(t, mode, policyDesired(c.policies.set(t))), c.from, c.to); got != c.want {
				t.Errorf("%s: %s: %s, want %s", mode, c.says, got, c.want)
			}
		}
	}
}

// A Pod that just starts talks before its address is known.
func TestNobodyTalksUnknownWhileAnIsolatedPodStarts(t *testing.T) {
	policies := policiesIn(t, policyText("deny", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}`))
	const unknown, container = "10.244.0.9", "10.244.192.1"
	trace := func(pods []*corev1.Pod, from, to string) string {
		set := policiesOf(policies, policyNamespaces(), pods, policyDNS())
		return trace(newTracer(t, policyRuleset(set).String()), from, to)
	}
	starting := append(policyPods(), labeledPod("default", "new", "", "web", 0))
	for probe, want := range map[[2]string]string{
		{unknown, "udp://10.244.0.1:53"}: "dropped", {unknown, "tcp://" + podB + ":1"}: "dropped", {podB, "tcp://" + unknown + ":1"}: "dropped",
		{"host", "tcp://" + unknown + ":1"}: untouched, {podB, "tcp://" + podC + ":1"}: untouched, {podB, "tcp://" + container + ":1"}: untouched,
		{container, "tcp://" + podB + ":1"}: untouched, {podB, "udp://10.244.0.1:53"}: untouched, {podA, "udp://10.244.0.1:53"}: "dropped",
		{podB, "tcp://" + podA + ":1"}: "dropped", {podB, "tcp://" + strangerLAN + ":1"}: untouched,
	} {
		if got := trace(starting, probe[0], probe[1]); got != want {
			t.Errorf("while it starts, %v: %s, want %s", probe, got, want)
		}
	}
	deleted := labeledPod("default", "new", "", "web", 0)
	deleted.DeletionTimestamp = &metav1.Time{}
	for says, pods := range map[string][]*corev1.Pod{
		"it has an address":          append(policyPods(), labeledPod("default", "new", "10.244.0.8", "web", 0)),
		"one that is not isolated":   append(policyPods(), labeledPod("default", "new", "", "db", 0)),
		"one that is deleted before": append(policyPods(), deleted),
	} {
		if got := trace(pods, unknown, "udp://10.244.0.1:53"); got != untouched {
			t.Errorf("%s: %s", says, got)
		}
	}
}

// The DNS server may be at another port, when something else has 53.
func TestDNSElsewhereIsAllowedByPort53(t *testing.T) {
	at := netip.MustParseAddrPort(gateway + ":38123")
	dns := []dnsEndpoint{{corev1.ProtocolUDP, at}}
	for _, to := range []string{"", `to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], `, `to: [{ipBlock: {cidr: 0.0.0.0/0}}], `} {
		policies := policiesIn(t, policyText("dns", `{podSelector: {}, policyTypes: [Egress], egress: [{`+to+`ports: [{port: 53, protocol: UDP}]}]}`))
		set := policiesOf(policies, policyNamespaces(), policyPods(), dns)
		a := netip.MustParseAddr(podA)
		if !set.allows(a, at.Addr(), corev1.ProtocolUDP, at.Port()) || set.allows(a, at.Addr(), corev1.ProtocolTCP, at.Port()) {
			t.Errorf("%q: %+v", to, set)
		}
	}
}

func TestPoliciesDoNotDependOnAnOrder(t *testing.T) {
	policies := policiesIn(t, policyCases[len(policyCases)-1].policies)
	for _, c := range policyCases {
		for _, p := range policiesIn(t, c.policies) {
			p.Name = fmt.Sprintf("p%d", len(policies))
			policies = append(policies, p)
		}
	}
	namespaces, pods := policyNamespaces(), policyPods()
	want := policiesOf(policies, namespaces, pods, policyDNS())
	for range 5 {
		rand.Shuffle(len(policies), func(i, j int) { policies[i], policies[j] = policies[j], policies[i] })
		rand.Shuffle(len(namespaces), func(i, j int) { namespaces[i], namespaces[j] = namespaces[j], namespaces[i] })
		rand.Shuffle(len(pods), func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
		if got := policiesOf(policies, namespaces, pods, policyDNS()); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

// manyPods are n Pods of the namespace default with a label that all have.
func manyPods(n int) (pods []*corev1.Pod) {
	at := netip.MustParseAddr(gateway)
	for i := range n {
		at = at.Next()
		pods = append(pods, labeledPod("default", fmt.Sprintf("pod-%d", i), at.String(), "web", 8080))
	}
	return pods
}

// Rules grow with the Pods, not with Pods times peers times ports.
func TestRulesOfManyPodsAreFew(t *testing.T) {
	policies := policiesIn(t, policyText("same", `{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}], ports: [{port: 1}, {port: 2}, {port: 3}]}], egress: [{to: [{podSelector: {}}], ports: [{port: 1}, {port: 2}, {port: 3}]}]}`))
	count := func(pods []*corev1.Pod) (rules int) {
		c := render(policySettings(), nil, nil)["filter"]
		policySettings().addPolicies(c, policiesOf(policies, policyNamespaces(), pods, nil))
		for _, chain := range c {
			rules += len(chain)
		}
		return rules
	}
	const n = 1000
	if got := count(manyPods(n)); got > 5*n {
		t.Errorf("%d rules for %d Pods in 4 lists", got, n)
	}
}

// One Pod more must not have everything written again.
func TestOnePodMoreTouchesFewRules(t *testing.T) {
	policies := policiesIn(t, policyText("same", `{podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: http}]}]}`))
	filter := func(n int) chains {
		return policyRuleset(policiesOf(policies, policyNamespaces(), manyPods(n), nil))["filter"]
	}
	text := restoreText("filter", filter(1000), filter(1001), nil, nil)
	if lines := strings.Count(string(text), "\n"); lines > 60 {
		t.Errorf("%d lines for one Pod more:\n%s", lines, text)
	}
}

func TestWithoutPoliciesThereAreNoRules(t *testing.T) {
	want := render(policySettings(), worldPorts(), nil)
	for says, set := range map[string]*policySet{
		"none": nil, "none that selects": policiesOf(policiesIn(t, policyText("none", `{podSelector: {matchLabels: {app: nobody}}}`)), policyNamespaces(), policyPods(), nil),
	} {
		if got := policyRuleset(set); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s", says, got)
		}
	}
}

func TestNamesOfPolicyChainsFit(t *testing.T) {
	for _, c := range policyCases {
		for name := range policyRuleset(c.set(t))["filter"] {
			if len(name) > 28 {
				t.Errorf("chain %s has %d characters", name, len(name))
			}
		}
	}
}
