package runtime

import (
	"net/netip"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// families are those of the instance, the primary one first.
func (o Options) families() []v1.IPFamily {
	if len(o.IPFamilies) == 0 {
		return []v1.IPFamily{v1.IPv4Protocol}
	}
	return o.IPFamilies
}

// inFamilies are the addresses of each family by these two.
func (o Options) inFamilies(four, six func() string) pods.IPs {
	return inFamilies(o.families(), four, six)
}

func inFamilies(families []v1.IPFamily, four, six func() string) (ips pods.IPs) {
	for _, f := range families {
		if f == v1.IPv6Protocol {
			ips = append(ips, six())
		} else {
			ips = append(ips, four())
		}
	}
	return ips
}

// hostIPs are the node's addresses.
func (a *Agent) hostIPs() pods.IPs { return a.opts.inFamilies(a.host.String, a.host6.String) }

// podIPs are the Pod's addresses: the sandbox's or, in the host's network, the node's.
func (b bridge) podIPs(pod *v1.Pod, sandbox pods.Instance) pods.IPs {
	if pod.Spec.HostNetwork {
		return b.hostIPs()
	}
	if !sandbox.Running() || !sandbox.Address.IsValid() {
		return nil
	}
	return inFamilies(b.families, sandbox.Address.String, func() string { return b.network.Address6(sandbox.Address).String() })
}

// prefixes are the ranges of the addresses of the node's Pods.
func (o Options) prefixes() pods.IPs {
	return o.inFamilies(o.PodRange.String, func() string { return o.Network.Range6(o.PodRange).String() })
}

// routed6 is the address that this machine would use to reach the world by IPv6: of the range for documentation, RFC 3849.
func routed6() netip.Addr { return routedTo("udp6", "[2001:db8::1]:9") }
