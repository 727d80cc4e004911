package runtime

import (
	"net/netip"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// podIPs are the addresses of a Pod or a node, one for each IP family, the primary one's first.
type podIPs []string

// first is the one that is meant where one is asked for; empty: there is none yet.
func (ips podIPs) first() string {
	if len(ips) == 0 {
		return ""
	}
	return ips[0]
}

// String is what the downward API has for all.
func (ips podIPs) String() string { return strings.Join(ips, ",") }

func (ips podIPs) ofPod() (out []v1.PodIP) {
	for _, ip := range ips {
		out = append(out, v1.PodIP{IP: ip})
	}
	return out
}

func (ips podIPs) ofHost() (out []v1.HostIP) {
	for _, ip := range ips {
		out = append(out, v1.HostIP{IP: ip})
	}
	return out
}

// podIPsIn are those that the API knows.
func podIPsIn(s v1.PodStatus) (ips podIPs) {
	for _, ip := range s.PodIPs {
		ips = append(ips, ip.IP)
	}
	if len(ips) == 0 && s.PodIP != "" {
		ips = podIPs{s.PodIP}
	}
	return ips
}

// families are those of the instance, the primary one first.
func (o Options) families() []v1.IPFamily {
	if len(o.IPFamilies) == 0 {
		return []v1.IPFamily{v1.IPv4Protocol}
	}
	return o.IPFamilies
}

// inFamilies are the addresses of each family by these two.
func (o Options) inFamilies(four, six func() string) (ips podIPs) {
	for _, f := range o.families() {
		if f == v1.IPv6Protocol {
			ips = append(ips, six())
		} else {
			ips = append(ips, four())
		}
	}
	return ips
}

// hostIPs are the node's addresses.
func (a *Agent) hostIPs() podIPs { return a.opts.inFamilies(a.host.String, a.host6.String) }

// podIPs are the Pod's addresses: the sandbox's or, in the host's network, the node's.
func (a *Agent) podIPs(pod *v1.Pod, sandbox instance) podIPs {
	if pod.Spec.HostNetwork {
		return a.hostIPs()
	}
	if !sandbox.Running() || !sandbox.address.IsValid() {
		return nil
	}
	return a.opts.inFamilies(sandbox.address.String, func() string { return a.opts.Network.Address6(sandbox.address).String() })
}

// prefixes are the ranges of the Pods' addresses.
func (o Options) prefixes() podIPs {
	return o.inFamilies(o.Network.Subnet.String, o.Network.Subnet6.String)
}

// routed6 is the address that this machine would use to reach the world by IPv6: of the range for documentation, RFC 3849.
func routed6() netip.Addr { return routedTo("udp6", "[2001:db8::1]:9") }
