package netproxy

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// dualOptions are testOptions with the world's IPv6.
func dualOptions() Options {
	opts := testOptions("test", testBridge)
	opts.IPv6 = Ranges{PodCIDR: netip.MustParsePrefix(sixth("10.244.0.0/16")), ServiceCIDR: netip.MustParsePrefix(sixth("10.96.0.0/16"))}
	opts.Gateway6 = netip.MustParseAddr(sixth(gateway))
	return opts
}

// dualService is one of both families whose NodePort is 30090, with a slice of each.
func dualService() (*corev1.Service, []*discoveryv1.EndpointSlice) {
	s := svc("both", "10.96.0.20", "80/TCP:30090")
	s.Spec.ClusterIPs = []string{"10.96.0.20", sixth("10.96.0.20")}
	four, six := slice("both", ports("8080/TCP"), podA), slice("both", ports("8080/TCP"), podA)
	ipv6.translateSlice(six)
	six.Name = "both-2"
	return balancer(s, "127.0.0.1"), []*discoveryv1.EndpointSlice{four, six}
}

func TestAProxyOfBothFamilies(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		client := world()
		service, eps := dualService()
		_ = client.Tracker().Add(service)
		for _, e := range eps {
			_ = client.Tracker().Add(e)
		}
		l.servePods()
		l.serve(sixth(podA), 8080)
		d := l.start(dualOptions(), client)
		const four, six = "10.244.0.2:8080<-10.244.0.1", "[fd00:244::2]:8080<-fd00:244::1"
		for to, want := range map[string]string{
			"tcp://10.96.0.20:80": four, "tcp://[fd00:96::14]:80": six,
			"tcp://127.0.0.1:30090": four, "tcp://[::1]:30090": six, "tcp://[fd00:244::1]:30090": six,
			"tcp://[::1]:30081": four, // a Service of IPv4
			"tcp://[::1]:80":    four, // a load balancer, whose address is 127.0.0.1
		} {
			eventually(t, to+" answers", func() bool { return l.ask("host", to) == want })
		}
		if got := l.ask(sixth(podB), "tcp://[fd00:96::14]:80"); got != "[fd00:244::2]:8080<-fd00:244::3" {
			t.Errorf("from a pod: %s", got)
		}

		service.Spec.ClusterIPs = service.Spec.ClusterIPs[:1]
		if _, err := d.client.CoreV1().Services("default").Update(context.Background(), service, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a Service that has no IPv6 any more is served at [::1] by IPv4", func() bool { return l.ask("host", "tcp://[::1]:30090") == four })
		eventually(t, "nobody answers at the ClusterIP that it had", func() bool { return l.ask("host", "tcp://[fd00:96::14]:80") == refused })
		d.stop()
		if err := Cleanup(t.Context(), dualOptions()); err != nil {
			t.Fatal(err)
		}
		if left := l.sh("ip6tables-save; ip -6 route; nft list tables"); strings.Contains(left, "KUBE-LITE") || strings.Contains(left, "fd00:96::") || strings.Contains(left, "kube-lite-test") {
			t.Errorf("after the cleanup: %s", left)
		}
	})
}
