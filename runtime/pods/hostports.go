package pods

import (
	"net/netip"

	v1 "k8s.io/api/core/v1"
)

// HostPort is a port of the host that a container declares. Whoever makes the rules of Services leads it to the Pod.
type HostPort struct {
	Address  netip.Addr // the zero Addr and the unspecified ones: every address
	Port     int32
	Protocol v1.Protocol
}

// HostPorts are those of all the Pod's containers.
func HostPorts(pod *v1.Pod) (out []HostPort) {
	for _, list := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			for _, p := range c.Ports {
				if p.HostPort != 0 {
					addr, _ := netip.ParseAddr(p.HostIP)
					out = append(out, HostPort{addr, p.HostPort, p.Protocol})
				}
			}
		}
	}
	return out
}
