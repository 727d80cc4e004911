package netproxy

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// The little world has IPv6 too: whatever has an address of IPv4 there has one of IPv6 that ends likewise.

var addressOf4 = regexp.MustCompile(`(\d+\.\d+\.\d+\.\d+)(:\d+|/\d+)?`)

// sixth is a text of the world with addresses of IPv6 in place of those of IPv4.
func sixth(text string) string {
	return addressOf4.ReplaceAllStringFunc(text, func(match string) string {
		parts := addressOf4.FindStringSubmatch(match)
		addr, rest := sixthAddress(netip.MustParseAddr(parts[1])).String(), parts[2]
		switch {
		case strings.HasPrefix(rest, ":"):
			return "[" + addr + "]" + rest
		case rest == "" || rest == "/0":
			return addr + rest
		}
		bits, _ := strconv.Atoi(rest[1:])
		return addr + "/" + strconv.Itoa(96+bits)
	})
}

func sixthAddress(a netip.Addr) netip.Addr {
	if a.IsUnspecified() {
		return netip.IPv6Unspecified()
	}
	b, networks := a.As4(), map[string]string{
		"10.244.": "fd00:244::", "10.96.": "fd00:96::", "127.0.": "::", "192.168.": "fd00:168::",
		"198.51.": "2001:db8:51::", "203.0.": "2001:db8:113::", "192.0.": "2001:db8:192::",
	}
	for four, six := range networks {
		if strings.HasPrefix(a.String(), four) {
			out := netip.MustParseAddr(six).As16()
			out[14], out[15] = b[2], b[3]
			return netip.AddrFrom16(out)
		}
	}
	panic("no address of IPv6 for " + a.String())
}

// familyText is a text of the world in a family.
func (f family) text(text string) string {
	if f == ipv6 {
		return sixth(text)
	}
	return text
}

func families() []family { return []family{ipv4, ipv6} }

// paths are those of a family: IPv4's, but for what goes to [::1], which forwarders do, and how Pods are kept apart from
// the world.
func (f family) paths() (all []path) {
	if f == ipv4 {
		return paths
	}
	return append(f.translate(paths),
		path{says: "host to load balancer on localhost", from: "host", to: "tcp://[::1]:8000", want: untouched},
		path{says: "host to NodePort on localhost", from: "host", to: "tcp://[::1]:30080", want: untouched},
		path{says: "pod to the world", from: sixth(podA), to: sixth("tcp://198.51.100.2:8080"), want: untouched},
	)
}

// translate makes paths of IPv4 those of the family, but for what IPv6 has not.
func (f family) translate(paths []path) (all []path) {
	if f == ipv4 {
		return paths
	}
	for _, p := range paths {
		if !strings.Contains(p.to, "//127.0.0.") {
			p.from, p.to, p.opens, p.want = sixth(p.from), sixth(p.to), sixth(p.opens), sixth(p.want)
			all = append(all, p)
		}
	}
	return all
}

func (f family) settings() settings {
	s := settings{
		family: f, prefix: ChainPrefix("test"), bridge: testBridge,
		serviceCIDR: netip.MustParsePrefix(f.text("10.96.0.0/16")), podCIDR: netip.MustParsePrefix(f.text("10.244.0.0/16")), features: features{randomFully: true, recent: true, sctp: true},
	}
	return s
}

// worldPorts are those of worldObjects with the addresses of the family.
func (f family) worldPorts() []servicePort {
	services, eps := worldObjects()
	for _, s := range services {
		f.translateService(s)
	}
	for _, s := range eps {
		f.translateSlice(s)
	}
	return snapshot(services, eps, worldNodes(f))
}

func (f family) translateService(s *corev1.Service) {
	s.Spec.ClusterIP, s.Spec.ClusterIPs = f.text(s.Spec.ClusterIP), []string{f.text(s.Spec.ClusterIP)}
	for _, list := range [][]string{s.Spec.ExternalIPs, s.Spec.LoadBalancerSourceRanges} {
		for i := range list {
			list[i] = f.text(list[i])
		}
	}
	for i := range s.Status.LoadBalancer.Ingress {
		s.Status.LoadBalancer.Ingress[i].IP = f.text(s.Status.LoadBalancer.Ingress[i].IP)
	}
}

func (f family) translateSlice(s *discoveryv1.EndpointSlice) {
	s.AddressType = f.endpointType()
	for i := range s.Endpoints {
		s.Endpoints[i].Addresses = []string{f.text(s.Endpoints[i].Addresses[0])}
	}
}

func (f family) worldHosts() []hostPort {
	pods := worldPods()
	for _, p := range pods {
		p.Status.PodIP = f.text(p.Status.PodIP)
		for i := range p.Spec.Containers[0].Ports {
			p.Spec.Containers[0].Ports[i].HostIP = f.text(p.Spec.Containers[0].Ports[i].HostIP)
		}
	}
	return hostSnapshot(pods, worldNodes(f), f)
}
