package pods

import (
	"strings"

	v1 "k8s.io/api/core/v1"
)

// IPs are the addresses of a Pod or a node, one for each IP family, the primary one's first.
type IPs []string

// First is the primary family's; empty: there is none yet.
func (ips IPs) First() string {
	if len(ips) == 0 {
		return ""
	}
	return ips[0]
}

// String is what the downward API has for all.
func (ips IPs) String() string { return strings.Join(ips, ",") }

// PodIPs are they as a Pod's status has its own.
func (ips IPs) PodIPs() (out []v1.PodIP) {
	for _, ip := range ips {
		out = append(out, v1.PodIP{IP: ip})
	}
	return out
}

// HostIPs are they as a Pod's status has its node's.
func (ips IPs) HostIPs() (out []v1.HostIP) {
	for _, ip := range ips {
		out = append(out, v1.HostIP{IP: ip})
	}
	return out
}

// IPsOf are the addresses of a Pod that the API knows.
func IPsOf(s v1.PodStatus) (ips IPs) {
	for _, ip := range s.PodIPs {
		ips = append(ips, ip.IP)
	}
	if len(ips) == 0 && s.PodIP != "" {
		ips = IPs{s.PodIP}
	}
	return ips
}
