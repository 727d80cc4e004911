package runtime

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/files"
	v1 "k8s.io/api/core/v1"
)

// A Pod's resolv.conf is what its DNS policy and its own configuration make of the cluster's and the node's.
func TestResolvConfOfEachPolicyOnDocker(t *testing.T) {
	r := newDockerRig(t)
	host := files.HostResolver()
	if len(host.Servers) == 0 || len(host.Servers) > 3 {
		t.Skipf("the host's own name servers cannot be shared as they are: %v", host.Servers)
	}
	own := string(host.Render())
	search := strings.TrimSpace("default.svc.cluster.local svc.cluster.local cluster.local " + strings.Join(host.Searches, " "))
	cluster := fmt.Sprintf("nameserver %s\nsearch %s\noptions ndots:5\n", r.opts.DNSServer, search)
	one, two := "1", "2"
	for _, c := range []struct {
		name   string
		change func(*v1.PodSpec)
		want   string
	}{
		{"cluster-first", func(*v1.PodSpec) {}, cluster},
		{"default", func(s *v1.PodSpec) { s.DNSPolicy = v1.DNSDefault }, own},
		{"none", func(s *v1.PodSpec) {
			s.DNSPolicy, s.DNSConfig = v1.DNSNone, &v1.PodDNSConfig{Nameservers: []string{"192.0.2.53"}}
		}, "nameserver 192.0.2.53\n"},
		{"host-network", func(s *v1.PodSpec) { s.HostNetwork = true }, own},
		{"with-host-net", func(s *v1.PodSpec) { s.HostNetwork, s.DNSPolicy = true, v1.DNSClusterFirstWithHostNet }, cluster},
		{"own-config", func(s *v1.PodSpec) {
			s.DNSConfig = &v1.PodDNSConfig{
				Nameservers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, Searches: []string{"example.org", "svc.cluster.local"},
				Options: []v1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "attempts", Value: &one}, {Name: "edns0"}},
			}
		}, fmt.Sprintf("nameserver %s\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch %s example.org\noptions ndots:2 attempts:1 edns0\n", r.opts.DNSServer, search)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.job(c.name, func(s *v1.PodSpec, _ *v1.Container) { c.change(s) }, "is=/etc/resolv.conf="+c.want)
			r.finished(c.name)
		})
	}
	r.eventually("own-config", "DNSConfigForming: Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "+r.opts.DNSServer.String()+" 192.0.2.1 192.0.2.2")
}

// The aliases are in a Pod's own hosts file, and in the host's for a Pod in the host's network.
func TestHostAliasesOnDocker(t *testing.T) {
	r := newDockerRig(t)
	aliases := []v1.HostAlias{{IP: "192.0.2.1", Hostnames: []string{"one", "uno"}}, {IP: "192.0.2.2", Hostnames: []string{"two"}}}
	acts := []string{"file=/etc/hosts=192.0.2.1\tone\tuno\n192.0.2.2\ttwo\n", "file=/etc/hosts=127.0.0.1\tlocalhost"}
	r.job("inside", func(s *v1.PodSpec, _ *v1.Container) { s.HostAliases = aliases }, append(acts, "file=/etc/hosts=\tinside\n")...)
	r.job("outside", func(s *v1.PodSpec, _ *v1.Container) { s.HostNetwork, s.HostAliases = true, aliases }, acts[0], "lacks=/etc/hosts=\toutside\n")
	r.finished("inside")
	r.finished("outside")
}
