package netproxy

import (
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// thousand makes n different Services with 3 endpoints each, every tenth with a NodePort, at random ClusterIPs as the
// allocator chooses them.
func thousand(n int) ([]*corev1.Service, []*discoveryv1.EndpointSlice) {
	addresses := rand.New(rand.NewPCG(1, 2)).Perm(1 << 16)
	var services []*corev1.Service
	var slices []*discoveryv1.EndpointSlice
	for i := range n {
		name, port := fmt.Sprintf("svc-%d", i), "http=80/TCP"
		if i%10 == 0 {
			port += fmt.Sprintf(":%d", 30000+i)
		}
		services = append(services, svc(name, fmt.Sprintf("10.96.%d.%d", addresses[i]>>8, addresses[i]&0xff), port))
		slices = append(slices, slice(name, ports("http=8080/TCP"), endpointAddress(3*i), endpointAddress(3*i+1), endpointAddress(3*i+2)))
	}
	return services, slices
}

func endpointAddress(i int) string { return fmt.Sprintf("10.244.%d.%d", i/250, i%250+2) }

// BenchmarkServiceChange is the time from objects to the kernel, iptables-restore included, among 1,000 Services.
// The budget is 50 ms.
func BenchmarkServiceChange(b *testing.B) {
	l := newLab(b)
	services, slices := thousand(1000)
	a, r := l.applier(), newRenderer()
	sync := func() {
		if _, err := a.apply(b.Context(), r.render(testSettings(), snapshot(services, slices, "n1"), nil)); err != nil {
			b.Fatal(err)
		}
	}
	sync()
	b.Run("endpoint", func(b *testing.B) {
		for i := range b.N {
			slices[i%1000].Endpoints[0].Addresses[0] = endpointAddress(4000 + i)
			sync()
		}
	})
	b.Run("add and remove a Service", func(b *testing.B) {
		for i := range b.N {
			services = append(services, svc("extra", fmt.Sprintf("10.96.%d.77", i%256), "80/TCP:31999"))
			slices = append(slices, slice("extra", ports("8080/TCP"), podA, podB))
			sync()
			services, slices = services[:1000], slices[:1000]
			sync()
		}
		b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(2*b.N), "ms/change")
	})
	b.Run("nothing", func(b *testing.B) {
		for range b.N {
			sync()
		}
	})
	b.Run("everything", func(b *testing.B) {
		for range b.N {
			a.applied = nil
			sync()
		}
	})
	b.Run("verify", func(b *testing.B) {
		for range b.N {
			if whole, err := a.verify(b.Context()); err != nil || !whole {
				b.Fatal(whole, err)
			}
		}
	})
}

// BenchmarkPolicyChange is the time from objects to the kernel for one Pod more or less among 1,000, of which 50 policies
// select all or a tenth.
func BenchmarkPolicyChange(b *testing.B) {
	l := newLab(b)
	var text string
	for i := range 50 {
		selector := "{}"
		if i%2 == 0 {
			selector = fmt.Sprintf(`{matchLabels: {group: "%d"}}`, i%10)
		}
		text += policyText(fmt.Sprintf("p%d", i), fmt.Sprintf(`{podSelector: %s, ingress: [{from: [{podSelector: {matchLabels: {group: "%d"}}}], ports: [{port: %d}]}]}`,
			selector, i%10, 8000+i))
	}
	policies, pods := policiesIn(b, text), manyPods(1001)
	for i, p := range pods {
		p.Labels["group"] = fmt.Sprint(i % 10)
	}
	a, n := l.applier(), 1000
	sync := func() {
		c := render(policySettings(), nil, nil)
		policySettings().addPolicies(c["filter"], policiesOf(policies, policyNamespaces(), pods[:n], policyDNS()))
		if _, err := a.apply(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
	sync()
	b.ResetTimer()
	for range b.N {
		n = 2001 - n
		sync()
	}
}
