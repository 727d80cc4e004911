package netproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// with changes a copy of the usual slice.
func with(change func(*discoveryv1.EndpointSlice)) *discoveryv1.EndpointSlice {
	s := slice("web", ports("http=8080/TCP"), podA, podB)
	change(s)
	return s
}

func condition(i int, ready, serving, terminating bool) func(*discoveryv1.EndpointSlice) {
	return func(s *discoveryv1.EndpointSlice) {
		s.Endpoints[i].Conditions = discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}
	}
}

func TestWhoAnswers(t *testing.T) {
	const a, b = podA + ":8080", podB + ":8080"
	for says, c := range map[string]struct {
		slices []*discoveryv1.EndpointSlice
		want   []string
	}{
		"the ready":                        {[]*discoveryv1.EndpointSlice{with(condition(0, false, false, false))}, []string{b}},
		"those of unknown state":           {[]*discoveryv1.EndpointSlice{with(func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Conditions = discoveryv1.EndpointConditions{} })}, []string{a, b}},
		"not the leaving beside the ready": {[]*discoveryv1.EndpointSlice{with(condition(0, false, true, true))}, []string{b}},
		"the leaving that serve when nobody is ready": {[]*discoveryv1.EndpointSlice{with(func(s *discoveryv1.EndpointSlice) {
			condition(0, false, true, true)(s)
			condition(1, false, false, true)(s)
		})}, []string{a}},
		"not those that serve but never were ready": {[]*discoveryv1.EndpointSlice{with(func(s *discoveryv1.EndpointSlice) {
			condition(0, false, true, false)(s)
			condition(1, false, true, false)(s)
		})}, nil},
		"of several slices, each once": {[]*discoveryv1.EndpointSlice{with(func(*discoveryv1.EndpointSlice) {}), with(func(s *discoveryv1.EndpointSlice) {
			s.Ports[0].Port, s.Endpoints = ptr.To[int32](9090), s.Endpoints[:1]
		}), with(func(*discoveryv1.EndpointSlice) {})}, []string{a, podA + ":9090", b}},
		"not another port's":     {[]*discoveryv1.EndpointSlice{with(func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("other") })}, nil},
		"not another protocol's": {[]*discoveryv1.EndpointSlice{with(func(s *discoveryv1.EndpointSlice) { s.Ports[0].Protocol = ptr.To(corev1.ProtocolUDP) })}, nil},
		"not another Service's":  {[]*discoveryv1.EndpointSlice{slice("other", ports("http=8080/TCP"), podA)}, nil},
		"not in IPv6": {[]*discoveryv1.EndpointSlice{with(func(s *discoveryv1.EndpointSlice) {
			s.AddressType, s.Endpoints[0].Addresses = discoveryv1.AddressTypeIPv6, []string{"fd00::2"}
		})}, nil},
		"nobody": {nil, nil},
	} {
		got := snapshot([]*corev1.Service{svc("web", "10.96.0.2", "http=80/TCP")}, c.slices, oneNode("n1"))
		if len(got) != 1 || fmt.Sprint(got[0].Internal) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", says, got, c.want)
		}
	}
}

func TestTrafficPolicies(t *testing.T) {
	eps := with(func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].NodeName = ptr.To("n2") })
	for _, internal := range []corev1.ServiceInternalTrafficPolicy{"", "Cluster", "Local"} {
		for _, external := range []corev1.ServiceExternalTrafficPolicy{"", "Cluster", "Local"} {
			s := svc("web", "10.96.0.2", "http=80/TCP:30080")
			s.Spec.InternalTrafficPolicy, s.Spec.ExternalTrafficPolicy = &internal, external
			got := snapshot([]*corev1.Service{s}, []*discoveryv1.EndpointSlice{eps}, oneNode("n1"))[0]
			if want := map[bool]int{true: 1, false: 2}[internal == "Local"]; len(got.Internal) != want {
				t.Errorf("internal policy %q: %v", internal, got.Internal)
			}
			if want := map[bool]int{true: 1, false: 2}[external == "Local"]; len(got.External) != want {
				t.Errorf("internal policy %q, external policy %q: %v", internal, external, got.External)
			}
			if got.PreserveSource != (external == "Local") {
				t.Errorf("external policy %q: source preserved: %v", external, got.PreserveSource)
			}
		}
	}
}

func TestServicesWithoutRules(t *testing.T) {
	headless, name, foreign := svc("h", "None", "80/TCP"), svc("n", "", "80/TCP"), svc("f", "10.96.0.9", "80/TCP")
	name.Spec.Type = corev1.ServiceTypeExternalName
	foreign.Labels = map[string]string{serviceProxyNameLabel: "somebody"}
	if got := snapshot([]*corev1.Service{headless, name, foreign}, nil, oneNode("n1")); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestPortsOfAService(t *testing.T) {
	s := svc("web", "fd00::1", "http=80/TCP:30080", "dns=53/UDP")
	s.Spec.ClusterIPs = []string{"fd00::1", "10.96.0.2"}
	s.Spec.ExternalIPs = []string{"fd00::2", "203.0.113.7"}
	s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To[int32](60)}}
	all := snapshot([]*corev1.Service{s}, nil, oneNode("n1"))
	got, six := ipv4.ports(all), ipv6.ports(all)
	if len(got) != 2 || len(six) != 2 {
		t.Fatalf("got %d ports of IPv4 and %d of IPv6", len(got), len(six))
	}
	if sp := six[0]; sp.ClusterIP != netip.MustParseAddr("fd00::1") || !slices.Equal(sp.ExternalIPs, []netip.Addr{netip.MustParseAddr("fd00::2")}) {
		t.Errorf("of IPv6: %+v", sp)
	}
	if sp := got[0]; sp.String() != "default/web:http/tcp" || sp.Port != 80 || sp.NodePort != 30080 || sp.AffinitySeconds != 60 ||
		sp.ClusterIP != netip.MustParseAddr("10.96.0.2") || !slices.Equal(sp.ExternalIPs, []netip.Addr{netip.MustParseAddr("203.0.113.7")}) {
		t.Errorf("first: %+v", sp)
	}
	if sp := got[1]; sp.String() != "default/web:dns/udp" || sp.Port != 53 || sp.NodePort != 0 {
		t.Errorf("second: %+v", sp)
	}
}

func TestAHundredEndpointsShareEvenly(t *testing.T) {
	sp := only("self")[0]
	sp.Internal = nil
	for i := range 100 {
		sp.Internal = append(sp.Internal, netip.MustParseAddrPort(endpointAddress(i)+":80"))
	}
	rules := testSettings().portRules(&sp).chains[servicePortChain(testSettings().prefix, "SVC", &sp)]
	left := 1.0
	for i, rule := range rules {
		p := 1.0
		if _, rest, ok := strings.Cut(rule, "--probability "); ok {
			if _, err := fmt.Sscan(rest, &p); err != nil {
				t.Fatal(err)
			}
		}
		if share := left * p; share < 0.00999 || share > 0.01001 {
			t.Errorf("endpoint %d of 100 gets %f of the connections", i, share)
		}
		left *= 1 - p
	}
	if len(rules) != 100 || left != 0 {
		t.Errorf("%d rules, %f of the connections left over", len(rules), left)
	}
}

// sorted sorts words.
func sorted(s string) string {
	words := strings.Fields(s)
	slices.Sort(words)
	return strings.Join(words, " ")
}
