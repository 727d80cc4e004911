package netproxy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// thousand makes n different Services with 3 endpoints each, every tenth with a NodePort, at random ClusterIPs as the
// allocator chooses them.
func thousand(n int) ([]*corev1.Service, []*discoveryv1.EndpointSlice) {
	addresses := rand.New(rand.NewPCG(1, 2)).Perm(1 << 16)
	var services []*corev1.Service
	var slices []*discoveryv1.EndpointSlice
	for i := range n {
		name, port := fmt.Sprintf("svc-%d", i), "http=80/TCP"
		if i%10 == 0 && i < 20_000 {
			port += fmt.Sprintf(":%d", 30000+i/10)
		}
		services = append(services, svc(name, fmt.Sprintf("10.96.%d.%d", addresses[i]>>8, addresses[i]&0xff), port))
		slices = append(slices, slice(name, ports("http=8080/TCP"), endpointAddress(3*i), endpointAddress(3*i+1), endpointAddress(3*i+2)))
	}
	return services, slices
}

func endpointAddress(i int) string { return fmt.Sprintf("10.244.%d.%d", i/250, i%250+2) }

// BenchmarkServiceChange is the time from what is wanted to the kernel, the programs included. The budget is 50 ms among
// 1,000 Services, and 20 ms for an endpoint among 10,000 with nftables.
func BenchmarkServiceChange(b *testing.B) {
	for _, mode := range modes() {
		for _, n := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", mode, n), func(b *testing.B) { benchmarkServiceChange(b, newLab(b, mode), n) })
		}
	}
}

func benchmarkServiceChange(b *testing.B, l *lab, n int) {
	services, slices := thousand(n)
	back, want := l.backend(), newDesired(testSettings())
	var changed changes
	set := func(s *corev1.Service, eps ...*discoveryv1.EndpointSlice) {
		want.setService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, portsOf(s, eps, oneNode("n1")), &changed)
	}
	sync := func() {
		if _, err := back.apply(b.Context(), want, changed); err != nil {
			b.Fatal(err)
		}
		changed = changes{}
	}
	for i := range services {
		set(services[i], slices[i])
	}
	sync()
	b.Run("endpoint", func(b *testing.B) {
		defer reportProcessorTime(b)()
		for i := range b.N {
			slices[i%n].Endpoints[0].Addresses[0] = endpointAddress(40_000 + i)
			set(services[i%n], slices[i%n])
			sync()
		}
	})
	b.Run("add and remove a Service", func(b *testing.B) {
		for i := range b.N {
			s := svc("extra", fmt.Sprintf("10.96.%d.77", i%256), "80/TCP:31999")
			set(s, slice("extra", ports("8080/TCP"), podA, podB))
			sync()
			want.setService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, nil, &changed)
			sync()
		}
		b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(2*b.N), "ms/change")
	})
	b.Run("everything", func(b *testing.B) {
		defer reportProcessorTime(b)()
		for range b.N {
			if _, err := l.backend().apply(b.Context(), want, changes{all: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		l.sh("nft flush ruleset")
		defer reportProcessorTime(b)()
		for range b.N {
			if _, err := l.backend().apply(b.Context(), want, changes{all: true}); err != nil {
				b.Fatal(err)
			}
			l.sh("nft flush ruleset")
		}
	})
	b.Run("verify", func(b *testing.B) {
		for range b.N {
			if whole, err := back.verify(b.Context()); err != nil || !whole {
				b.Fatal(whole, err)
			}
		}
	})
}

// BenchmarkPolicyChange is the time from objects to the kernel for one Pod more or less among 1,000, of which 50 policies
// select all or a tenth.
func BenchmarkPolicyChange(b *testing.B) {
	l := newLab(b, ModeIPTables)
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
	to, want, n := l.backend(), desiredOf(policySettings(), nil, nil), 1000
	sync := func() {
		var changed changes
		want.setPolicies(policiesOf(policies, policyNamespaces(), pods[:n], policyDNS()), &changed)
		if _, err := to.apply(b.Context(), want, changed); err != nil {
			b.Fatal(err)
		}
	}
	sync()
	defer reportProcessorTime(b)()
	b.ResetTimer()
	for range b.N {
		n = 2001 - n
		sync()
	}
}

// reportProcessorTime is for machines that others use: what the programs and this process needed of it.
func reportProcessorTime(b *testing.B) func() {
	used := func() (total time.Duration) {
		for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
			var u unix.Rusage
			_ = unix.Getrusage(who, &u) // never fails
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
		return total
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op") }
}
