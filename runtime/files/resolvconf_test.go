package files

import (
	"net/netip"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestResolvConfFollowsTheDNSPolicy(t *testing.T) {
	host := parseResolv([]byte("# comment\nnameserver 192.0.2.53\nsearch example.org\noptions timeout:1\n"))
	server, two := netip.MustParseAddr("10.96.0.10"), "2"
	cluster := "nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local example.org\noptions ndots:5\n"
	own := "nameserver 192.0.2.53\nsearch example.org\noptions timeout:1\n"
	for _, c := range []struct {
		name   string
		change func(*v1.PodSpec)
		want   string
	}{
		{"ClusterFirst", func(*v1.PodSpec) {}, cluster},
		{"Default", func(s *v1.PodSpec) { s.DNSPolicy = v1.DNSDefault }, own},
		{"ClusterFirst in the host's network", func(s *v1.PodSpec) { s.HostNetwork = true }, own},
		{"ClusterFirstWithHostNet", func(s *v1.PodSpec) { s.HostNetwork, s.DNSPolicy = true, v1.DNSClusterFirstWithHostNet }, cluster},
		{"None", func(s *v1.PodSpec) {
			s.DNSPolicy, s.DNSConfig = v1.DNSNone, &v1.PodDNSConfig{Nameservers: []string{"9.9.9.9"}, Searches: []string{"x"}}
		}, "nameserver 9.9.9.9\nsearch x\n"},
		{"options of its own", func(s *v1.PodSpec) {
			s.DNSConfig = &v1.PodDNSConfig{Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "edns0"}}}
		}, strings.Replace(cluster, "ndots:5", "ndots:2 edns0", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := testPod()
			c.change(&pod.Spec)
			if got := string(resolv(pod, server, "cluster.local", host).Render()); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestResolvConfHoldsWhatItsReadersHeed(t *testing.T) {
	many := func(n, length int) (out []string) {
		for i := range n {
			out = append(out, strings.Repeat(string(rune('a'+i%26)), length))
		}
		return out
	}
	for _, c := range []struct {
		what              string
		have              Resolver
		servers, searches int
		warning           string
	}{
		{"what fits", Resolver{Servers: many(3, 1), Searches: many(32, 10)}, 3, 32, ""},
		{"a fourth server", Resolver{Servers: many(4, 1)}, 3, 0, "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: a b c"},
		{"too many searches", Resolver{Searches: many(40, 10)}, 0, 32, "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: aaaaaaaaaa "},
		{"one that is too long", Resolver{Searches: append(many(1, 254), "short")}, 0, 1, "applied search line is: short"},
		{"a line that is too long", Resolver{Searches: many(20, 200)}, 0, 10, "Search Line limits were exceeded"},
	} {
		got, warnings := c.have.fit()
		if len(got.Servers) != c.servers || len(got.Searches) != c.searches {
			t.Errorf("%s: %d servers and %d searches are left, want %d and %d", c.what, len(got.Servers), len(got.Searches), c.servers, c.searches)
		}
		if text := strings.Join(warnings, "\n"); !strings.Contains(text, c.warning) || (text == "") != (c.warning == "") {
			t.Errorf("%s: it says %q, want %q", c.what, text, c.warning)
		}
	}
}
