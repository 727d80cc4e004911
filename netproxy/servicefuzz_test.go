package netproxy

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/knftables"
)

// oneOf draws from few words, so that they clash.
func oneOf[T any](d dice, of ...T) T { return of[d.IntN(len(of))] }

// service is one by chance. Names, ports and protocols are as the API has validated them; addresses and the like, which are
// read anew, also as it would not let them pass.
func (d dice) service(n int) *corev1.Service {
	s := svc(fmt.Sprintf("s%d", n), oneOf(d, "10.96.0.1", "10.96.0.2", "10.96.255.255", "10.96.0.3", "None", "", "fd00:96::1", "fd00:96::ffff", "nonsense"))
	if d.IntN(2) == 0 { // two families
		s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, oneOf(d, "fd00:96::2", "10.96.0.4", "None"))
	}
	s.Spec.Type = oneOf(d, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	for range d.IntN(4) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: oneOf(d, "", "http", "dns"), Protocol: oneOf(d, protocols()...),
			Port: oneOf[int32](d, 1, 80, 443, 65535), NodePort: oneOf[int32](d, 0, 0, 30000, 30080, 32767),
			TargetPort: intstr.FromInt32(8080),
		})
	}
	if d.IntN(3) == 0 {
		s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		s.Spec.SessionAffinityConfig = oneOf(d, nil, &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{
			TimeoutSeconds: ptr.To(oneOf[int32](d, 1, 10800, 86400))}})
	}
	for range d.IntN(3) {
		s.Spec.ExternalIPs = append(s.Spec.ExternalIPs, oneOf(d, "203.0.113.7", "203.0.113.8", "2001:db8::7", "0.0.0.0", "nonsense"))
		s.Spec.LoadBalancerSourceRanges = append(s.Spec.LoadBalancerSourceRanges, oneOf(d, "192.0.2.0/24", "192.0.2.7/24", "0.0.0.0/0", "::/0", "2001:db8::/64", " 198.51.100.0/24", "all"))
		s = balancer(s, oneOf(d, "127.0.0.1", "127.0.0.2", hostOnLAN, "::1", "", "nonsense"))
	}
	s.Spec.ExternalTrafficPolicy = oneOf(d, "", corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceExternalTrafficPolicyCluster)
	s.Spec.InternalTrafficPolicy = oneOf(d, nil, ptr.To(corev1.ServiceInternalTrafficPolicyLocal))
	return s
}

func (d dice) endpoints(of *corev1.Service, addressType discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	eps := slice(of.Name, nil)
	eps.AddressType = addressType
	for _, p := range of.Spec.Ports {
		eps.Ports = append(eps.Ports, discoveryv1.EndpointPort{Name: ptr.To(p.Name), Protocol: ptr.To(p.Protocol),
			Port: oneOf(d, nil, ptr.To[int32](8080), ptr.To[int32](9090), ptr.To[int32](65535))})
	}
	for range d.IntN(5) {
		eps.Endpoints = append(eps.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{oneOf(d, podA, podB, podC, "10.244.7.7", "fd00:244::7", "fd00:244::8", "nonsense", "0.0.0.0")}, NodeName: oneOf(d, nil, ptr.To("n1"), ptr.To("n2")),
			Conditions: discoveryv1.EndpointConditions{Ready: oneOf(d, nil, ptr.To(true), ptr.To(false)), Serving: oneOf(d, nil, ptr.To(true)), Terminating: oneOf(d, nil, ptr.To(true))},
		})
	}
	return eps
}

// FuzzServices: whatever Services and EndpointSlices say, iptables-restore and nft take what is made of it in each IP family, as a
// whole and as a change of what was there.
func FuzzServices(f *testing.F) {
	for seed := range uint64(25) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		for _, fam := range families() {
			fuzzServices(t, newDice(seed), fam)
		}
	})
}

func fuzzServices(t *testing.T, d dice, f family) {
	want := newDesired(f.settings())
	on := oneOf(d, oneNode("n1"), worldNodes(f))
	var changed changes
	set := func(n int) {
		s := d.service(n)
		eps := []*discoveryv1.EndpointSlice{d.endpoints(s, discoveryv1.AddressTypeIPv4), d.endpoints(s, discoveryv1.AddressTypeIPv6)}
		want.setService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, f.ports(portsOf(s, eps, on)), &changed)
	}
	fake := knftables.NewFake(f.nftables(), nftTable("test"))
	b := newNftBackend(fake, f, "test", nil, slog.New(slog.DiscardHandler))
	for range 3 {
		for n := range 1 + d.IntN(8) {
			set(n)
		}
		if _, err := b.apply(t.Context(), want, changed); err != nil {
			t.Fatalf("nftables: %v", err)
		}
		changed = changes{}
		var r renderer
		text := r.render(want.settings, want.ports(), want.hosts).String()
		if os.Getenv(insideEnv) == "" {
			continue
		}
		checkTexts(t, f, text, want)
	}
}

// checkTexts has the machine's programs look at the rules, which they do not keep.
func checkTexts(t *testing.T, f family, text string, want *desired) {
	t.Helper()
	cmd := exec.Command(f.iptables()+"-restore", "--noflush", "--test")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, text)
	}
	nft, err := findNFT(f, nftTable("fuzz"))
	if err != nil {
		t.Fatal(err)
	}
	tx := nft.NewTransaction()
	if err := newNftBackend(nft, f, "fuzz", nil, slog.New(slog.DiscardHandler)).rewrite(t.Context(), tx, want); err != nil {
		t.Fatal(err)
	}
	if err := nft.Check(t.Context(), tx); err != nil {
		t.Fatalf("nft: %v\n%s", err, tx)
	}
}
