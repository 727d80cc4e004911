package netproxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Policies in the little world: podA is default/web and podB other/client, which the kernel has too. The others are
// there on paper.
const (
	podC = "10.244.0.4" // default/db
	podD = "10.244.0.5" // other/web
)

// policyCase says which connections policies let through.
type policyCase struct {
	says     string
	policies string // documents; namespace default unless they say otherwise
	// passes and dropped are "from>to protocol port", from and to names of policyHosts.
	passes, dropped []string
}

// policyHosts are the names in policyCases.
var policyHosts = map[string]string{
	"web": podA, "client": podB, "db": podC, "web2": podD, "stranger": strangerLAN, "host": "host", "node": gateway,
}

// policyCases are what NetworkPolicies promise. default/web names its port 8080 http, other/client its 9090, and other/web
// its 8080 too.
var policyCases = []policyCase{
	{says: "no policy", passes: []string{"client>web tcp 8080", "stranger>web tcp 8080", "web>node udp 53", "web>stranger tcp 8080"}},
	{says: "nothing comes in by default", policies: policyText("deny", `{podSelector: {}}`),
		passes: []string{"host>web tcp 8080", "web>client tcp 8080", "web>node udp 53", "db>client tcp 8080", "web>web tcp 8080"},
		dropped: []string{"client>web tcp 8080", "client>web udp 8080", "db>web tcp 8080", "stranger>web tcp 8080", "stranger>db tcp 1",
			"web>db tcp 8080"}},
	{says: "nothing goes out by default", policies: policyText("deny", `{podSelector: {}, policyTypes: [Egress]}`),
		passes:  []string{"client>web tcp 8080", "stranger>web tcp 8080", "host>web tcp 8080", "web>web tcp 8080"},
		dropped: []string{"web>client tcp 8080", "web>stranger tcp 8080", "web>node udp 53", "web>node tcp 53", "web>node tcp 6443"}},
	{says: "only the selected are isolated", policies: policyText("deny", `{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]}`),
		passes:  []string{"client>web tcp 8080", "web>client tcp 8080"},
		dropped: []string{"web>db tcp 1", "db>web tcp 8080", "db>node udp 53"}},
	{says: "an empty rule allows everything", policies: policyText("all", `{podSelector: {}, ingress: [{}]}`),
		passes: []string{"client>web tcp 8080", "stranger>web udp 8080"}},
	{says: "without types, egress counts when it has rules", policies: policyText("out", `{podSelector: {}, egress: [{ports: [{port: 8080}]}]}`),
		passes:  []string{"web>client tcp 8080"},
		dropped: []string{"web>client tcp 9090", "client>web tcp 8080"}},
	{says: "by labels of Pods of the same namespace", policies: policyText("in", `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: db}}}]}]}`),
		passes:  []string{"db>web tcp 8080", "db>web udp 1", "client>web2 tcp 8080", "host>web tcp 8080"},
		dropped: []string{"client>web tcp 8080", "stranger>web tcp 8080"}},
	{says: "by namespace", policies: policyText("in", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {env: dev}}}]}]}`),
		passes:  []string{"client>web tcp 8080", "web2>web tcp 8080"},
		dropped: []string{"db>web tcp 8080", "stranger>web tcp 8080"}},
	{says: "by namespace and labels together",
		policies: policyText("in", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {env: dev}}, podSelector: {matchExpressions: [{key: app, operator: In, values: [client, x]}]}}]}]}`),
		passes:   []string{"client>web tcp 8080"},
		dropped:  []string{"web2>web tcp 8080", "db>web tcp 8080"}},
	{says: "by namespace or labels",
		policies: policyText("in", `{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {env: dev}}}, {podSelector: {matchLabels: {app: db}}}]}]}`),
		passes:   []string{"client>web tcp 8080", "db>web tcp 8080", "web2>web tcp 8080"},
		dropped:  []string{"stranger>web tcp 8080"}},
	{says: "ports", policies: policyText("in", `{podSelector: {}, ingress: [{ports: [{port: 8080}, {port: 9000, endPort: 9090}, {port: 8080, protocol: UDP}]}]}`),
		passes:  []string{"client>web tcp 8080", "client>web tcp 9090", "stranger>web tcp 9000", "client>web udp 8080"},
		dropped: []string{"client>web tcp 9091", "client>web tcp 8999", "client>web udp 9090"}},
	{says: "all ports of a protocol", policies: policyText("in", `{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}`),
		passes:  []string{"client>web udp 8080", "client>web udp 9090"},
		dropped: []string{"client>web tcp 8080"}},
	{says: "SCTP is not TCP", policies: policyText("in", `{podSelector: {}, ingress: [{ports: [{port: 8080, protocol: SCTP}]}]}`),
		passes:  []string{"db>web sctp 8080"},
		dropped: []string{"client>web tcp 8080", "client>web udp 8080", "db>web sctp 8081"}},
	{says: "a peer at one port, another at another",
		policies: policyText("in", `{podSelector: {}, ingress: [{ports: [{port: 8080}], from: [{namespaceSelector: {matchLabels: {env: dev}}}]}, {ports: [{port: 9090}], from: [{ipBlock: {cidr: 198.51.100.0/24}}]}]}`),
		passes:   []string{"client>web tcp 8080", "stranger>web tcp 9090"},
		dropped:  []string{"client>web tcp 9090", "stranger>web tcp 8080"}},
	{says: "a named port that comes in is the Pod's", policies: policyText("in", `{podSelector: {}, ingress: [{ports: [{port: http}]}]}`),
		passes:  []string{"client>web tcp 8080"},
		dropped: []string{"client>web tcp 9090", "client>web udp 8080", "client>db tcp 8080"}},
	{says: "a named port that goes out is the other's", policies: policyText("out", `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}`),
		passes:  []string{"web>client tcp 9090", "web>web2 tcp 8080"},
		dropped: []string{"web>client tcp 8080", "web>web2 tcp 9090", "web>stranger tcp 8080", "web>node udp 53"}},
	{says: "a named port that goes out to some",
		policies: policyText("out", `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}], to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}]}]}`),
		passes:   []string{"web>client tcp 9090"},
		dropped:  []string{"web>web2 tcp 8080", "web>client tcp 8080"}},
	{says: "a range of addresses with a hole", policies: policyText("out", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.0.3/32]}}, {ipBlock: {cidr: 198.51.100.2/32}}]}]}`),
		passes:  []string{"web>db tcp 1", "web>stranger tcp 8080", "web>node tcp 53", "web>web2 udp 1"},
		dropped: []string{"web>client tcp 8080", "web>client udp 8080"}},
	{says: "a hole of one block in another", policies: policyText("in", `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.244.0.3/32, 198.51.100.0/24]}}, {ipBlock: {cidr: 10.244.0.0/29}}]}]}`),
		passes:  []string{"client>web tcp 8080", "db>web tcp 1"},
		dropped: []string{"stranger>web tcp 8080"}},
	{says: "policies add up", policies: policyText("deny", `{podSelector: {}, policyTypes: [Ingress, Egress]}`) +
		policyText("in", `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 8080}]}]}`) +
		policyText("out", `{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 9090}]}]}`),
		passes:  []string{"client>web tcp 8080", "web>client tcp 9090"},
		dropped: []string{"client>web tcp 9090", "web>client tcp 8080", "db>web tcp 8080", "web>db tcp 9090", "stranger>web tcp 8080"}},
	{says: "both sides have to agree", policies: policyText("in", `{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}`) +
		strings.Replace(policyText("out", `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 8080}, {port: 9090}]}]}`), "name:", "namespace: other, name:", 1),
		passes:  []string{"client>web tcp 8080", "client>stranger tcp 9090", "stranger>web tcp 8080"},
		dropped: []string{"client>web tcp 9090", "stranger>web tcp 9090", "client>stranger tcp 1"}},
	{says: "the DNS server is selected as elsewhere",
		policies: policyText("dns", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}]}`),
		passes:   []string{"web>node udp 53"},
		dropped:  []string{"web>node tcp 53", "web>node tcp 6443", "web>client tcp 8080", "web>stranger udp 53"}},
	{says: "the DNS server by its namespace, all ports", policies: policyText("dns", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]}]}`),
		passes:  []string{"web>node udp 53", "web>node tcp 53"},
		dropped: []string{"web>node tcp 6443", "web>stranger udp 53"}},
	{says: "the DNS server by its named port", policies: policyText("dns", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: dns-tcp}]}]}`),
		passes:  []string{"web>node tcp 53"},
		dropped: []string{"web>node udp 53", "web>node tcp 6443"}},
	{says: "DNS by its port alone", policies: policyText("dns", `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}, {port: 53}]}]}`),
		passes:  []string{"web>node udp 53", "web>node tcp 53"},
		dropped: []string{"web>node tcp 6443", "web>client tcp 8080"}},
	{says: "other Pods of kube-system are not the DNS server", policies: policyText("dns", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: metrics}}}]}]}`),
		dropped: []string{"web>node udp 53", "web>node tcp 53"}},
	{says: "a program of this machine by its address", policies: policyText("out", `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.244.0.1/32}}], ports: [{port: 6443}]}]}`),
		passes:  []string{"web>node tcp 6443"},
		dropped: []string{"web>node udp 53", "web>client tcp 6443"}},
}

// policyText is a NetworkPolicy of the namespace default.
func policyText(name, spec string) string {
	return "---\nmetadata: {name: " + name + "}\nspec: " + spec + "\n"
}

// policiesIn reads documents.
func policiesIn(t testing.TB, text string) (all []*networkingv1.NetworkPolicy) {
	t.Helper()
	for _, document := range strings.Split(text, "---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		policy := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict([]byte(document), policy); err != nil {
			t.Fatalf("%v: %s", err, document)
		}
		if policy.Namespace == "" {
			policy.Namespace = "default"
		}
		all = append(all, policy)
	}
	return all
}

// policyNamespaces and policyPods are the world's.
func policyNamespaces() []*corev1.Namespace {
	var all []*corev1.Namespace
	for name, env := range map[string]string{"default": "prod", "other": "dev", "kube-system": "system"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		ns.Labels = map[string]string{"kubernetes.io/metadata.name": name, "env": env}
		all = append(all, ns)
	}
	return all
}

func policyPods() []*corev1.Pod {
	ended := labeledPod("default", "ended", podB, "db", 0) // its address has another Pod by now
	ended.Status.Phase = corev1.PodSucceeded
	stale := labeledPod("default", "stale", podB, "db", 0) // as has this one's, whose status comes late
	stale.CreationTimestamp = metav1.NewTime(time.Unix(1, 0))
	host := labeledPod("default", "host", gateway, "web", 0)
	host.Spec.HostNetwork = true
	elsewhere := labeledPod("default", "elsewhere", "", "web", 0)
	elsewhere.Spec.NodeName = "" // not scheduled yet
	return []*corev1.Pod{
		labeledPod("default", "web", podA, "web", 8080), labeledPod("other", "client", podB, "client", 9090),
		labeledPod("default", "db", podC, "db", 0), labeledPod("other", "web", podD, "web", 8080),
		ended, stale, host, elsewhere,
	}
}

// labeledPod is one with the label app, and maybe with a port named http.
func labeledPod(namespace, name, address, app string, http int32) *corev1.Pod {
	p := pod(name, address)
	p.Namespace, p.Labels, p.CreationTimestamp = namespace, map[string]string{"app": app}, metav1.NewTime(time.Unix(2, 0))
	if address != "" {
		p.Status.PodIPs = []corev1.PodIP{{IP: address}}
	}
	if http != 0 {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: http}}
	}
	return p
}

// policyDNS is the world's DNS server.
func policyDNS() []dnsEndpoint {
	at := netip.AddrPortFrom(netip.MustParseAddr(gateway), 53)
	return []dnsEndpoint{{corev1.ProtocolTCP, at}, {corev1.ProtocolUDP, at}}
}

func (c policyCase) set(t testing.TB) *policySet { return c.setOf(t, ipv4) }

// setOf has Pods of the family, and with IPv6 of both.
func (c policyCase) setOf(t testing.TB, f family) *policySet {
	pods, dns := policyPods(), policyDNS()
	if f == ipv6 {
		for _, p := range pods {
			for _, ip := range p.Status.PodIPs {
				p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: sixth(ip.IP)})
			}
		}
		for _, server := range policyDNS() {
			dns = append(dns, dnsEndpoint{server.protocol, netip.MustParseAddrPort(sixth(server.at.String()))})
		}
	}
	return policiesOf(policiesIn(t, strings.ReplaceAll(f.text(c.policies), " ::/0", ` "::/0"`)), policyNamespaces(), pods, dns)
}

// policySettings are the world's.
func policySettings() settings { return ipv4.policySettings() }

func (f family) policySettings() settings {
	s := f.settings()
	s.lanToPods = true // so that policies have something to decide
	s.podCIDR, s.otherCIDR = netip.MustParsePrefix(f.text("10.244.0.0/16")), netip.MustParsePrefix(f.text("10.244.192.0/18"))
	return s
}

// policyDesired has the world's Services too.
func policyDesired(set *policySet) *desired { return ipv4.policyDesired(set) }

func (f family) policyDesired(set *policySet) *desired {
	d := desiredOf(f.policySettings(), f.worldPorts(), nil)
	d.policies = set
	return d
}

// policyRuleset has the world's Services too.
func policyRuleset(set *policySet) ruleset {
	s := policySettings()
	rules := render(s, worldPorts(), nil)
	s.addPolicies(rules["filter"], set)
	return rules
}

// probes calls do with each connection of the case.
func (c policyCase) probes(do func(probe, from, to string, passes bool)) {
	for i, list := range [][]string{c.passes, c.dropped} {
		for _, probe := range list {
			words := strings.Fields(probe)
			from, to, _ := strings.Cut(words[0], ">")
			do(probe, policyHosts[from], words[1]+"://"+policyHosts[to]+":"+words[2], i == 0)
		}
	}
}
