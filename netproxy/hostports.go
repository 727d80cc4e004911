package netproxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// hostPort is a port of this machine that leads to a port of one Pod.
// See https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#ports
type hostPort struct {
	Pod      types.NamespacedName
	Family   family
	Protocol corev1.Protocol
	HostIP   netip.Addr // the zero Addr: every address of this machine
	OfNode   bool       // HostIP is the Pod's node's, of several, for which the port is its own at all addresses
	Port     uint16
	To       netip.AddrPort // in the Pod; the zero AddrPort: it has no address yet
}

// String is the port's name in comments and the identity of its chain.
func (h hostPort) String() string {
	return fmt.Sprintf("%s/%s@%s:%d/%s", h.Pod.Namespace, h.Pod.Name, h.address(), h.Port, strings.ToLower(string(h.Protocol)))
}

// comment names the port in the rules, which have 255 characters for it.
func (h hostPort) comment() string {
	text := h.String()
	return text[max(0, len(text)-250):]
}

func (h hostPort) address() string {
	if !h.HostIP.IsValid() {
		return "*"
	}
	return h.HostIP.String()
}

// rank is 0 for a port that leads somewhere, else 1.
func (h hostPort) rank() int {
	if h.To.IsValid() {
		return 0
	}
	return 1
}

// socket is where the port answers.
func (h hostPort) socket() nodePort {
	return nodePort{protocol: h.Protocol, port: h.Port, addr: h.HostIP}
}

// reserved is what is held for the port: where it answers, or all addresses if it is a node's.
func (h hostPort) reserved() nodePort {
	at := h.socket()
	if h.OfNode {
		at.addr = netip.Addr{}
	}
	return at
}

// hostPortsOf are the ports of this machine that lead to a Pod of one of its nodes, in each of the families. One in the
// host's network has them itself.
func hostPortsOf(pod *corev1.Pod, families ...family) (out []hostPort) {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if pod.Spec.NodeName == "" || pod.Spec.HostNetwork || ended {
		return nil
	}
	for _, f := range families {
		out = append(out, f.hostPortsOf(pod)...)
	}
	return out
}

func (f family) hostPortsOf(pod *corev1.Pod) (out []hostPort) {
	texts := []string{pod.Status.PodIP}
	for _, ip := range pod.Status.PodIPs {
		texts = append(texts, ip.IP)
	}
	var addr netip.Addr
	if own := f.addresses(texts); len(own) > 0 {
		addr = own[0]
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, c := range list {
			for _, p := range c.Ports {
				h := hostPort{
					Pod:      types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name},
					Family:   f,
					Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), Port: uint16(p.HostPort),
				}
				if host, err := netip.ParseAddr(p.HostIP); err == nil && !host.IsUnspecified() {
					h.HostIP = host.Unmap()
				}
				if h.Port == 0 || h.HostIP.IsValid() && !f.has(h.HostIP) {
					continue
				}
				if addr.IsValid() {
					h.To = netip.AddrPortFrom(addr, uint16(p.ContainerPort))
				}
				out = append(out, h)
			}
		}
	}
	return out
}

// hostSnapshot are the ports of this machine that Pods want, in a stable order. Of several Pods that want the same, of
// which one is mostly about to be rejected or to end, one that has an address goes first, then the older one; Pods of
// several nodes have their own at their nodes' addresses.
func hostSnapshot(pods []*corev1.Pod, on nodes, families ...family) (all []hostPort) {
	pods = slices.Clone(pods)
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, pod := range pods {
		if !on.has(pod.Spec.NodeName) {
			continue
		}
		for _, h := range hostPortsOf(pod, families...) {
			all = append(all, h)
			if h.HostIP.IsValid() {
				continue
			}
			for _, address := range on.apart().of(pod.Spec.NodeName, h.Family) {
				h.HostIP, h.OfNode = address, true
				all = append(all, h)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b hostPort) int { // the zero Addr is the least of all: rules of one address come first
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), b.HostIP.Compare(a.HostIP), strings.Compare(a.Family.ip(), b.Family.ip()), a.rank()-b.rank())
	})
	return slices.CompactFunc(all, func(a, b hostPort) bool { return a.Family == b.Family && a.socket() == b.socket() })
}

// addHostPorts makes the chains for ports of this machine, and has chain, where packets begin, lead there. They answer
// on all addresses of this machine, whoever asks, as a node's portmap plugin does; a Pod that does not listen refuses.
func (s settings) addHostPorts(c chains, ports []hostPort, from ...string) {
	if len(ports) == 0 {
		return
	}
	hosts := s.prefix + chainHostPorts
	for _, chain := range from {
		c.add(chain, s.toThisMachine()+"-j", hosts)
	}
	leaves := map[corev1.Protocol][]leaf{}
	for _, h := range ports {
		if !s.knows(h.Protocol) {
			continue
		}
		rule := ""
		if h.HostIP.IsValid() {
			rule = "-d " + one(h.HostIP) + " "
		}
		rule += portMatch(h.Protocol, h.Port) + ` -m comment --comment "` + h.comment() + `"`
		if h.To.IsValid() {
			rule += " -j " + s.addHostPort(c, h)
		} else {
			rule += " -j MARK --set-xmark " + rejectMark
		}
		leaves[h.Protocol] = append(leaves[h.Protocol], leaf{portKey(h.Port), rule})
	}
	c.add(hosts)
	for _, protocol := range protocols() {
		dispatch := s.portDispatch(c, protocol)
		dispatch.name = s.prefix + "H" + string(protocol) + "-"
		dispatch.build(hosts, leaves[protocol])
	}
}

// addHostPort makes the chain that sends to one Pod and returns its name.
func (s settings) addHostPort(c chains, h hostPort) string {
	chain := s.prefix + "HP-" + hash(h.String())[:8]
	// A Pod that calls itself would see its own address; and 127.0.0.1 no Pod can answer.
	c.add(chain, "-s", one(h.To.Addr())+" -j MARK --set-xmark", masqueradeMark)
	c.add(chain, "-s", s.family.loopback(), "-j MARK --set-xmark", masqueradeMark)
	if s.masqueradePods {
		c.add(chain, "-i", s.bridge, "-j MARK --set-xmark", masqueradeMark)
	}
	c.add(chain, "-p", strings.ToLower(string(h.Protocol)), "-j DNAT --to-destination", h.To.String())
	return chain
}

// withoutHostPorts are the ports but for those that could not be held.
func withoutHostPorts(ports []hostPort, taken map[nodePort]error) []hostPort {
	return slices.DeleteFunc(ports, func(h hostPort) bool { return taken[h.reserved()] != nil })
}
