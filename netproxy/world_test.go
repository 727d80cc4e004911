package netproxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// The little world in which packets are traced over the text, and in which they are sent through the kernel.
const (
	testBridge  = "kl-test0"
	gateway     = "10.244.0.1"
	podA        = "10.244.0.2"
	podB        = "10.244.0.3"
	hostOnLAN   = "198.51.100.1"
	nodeB       = "10.244.1.1" // of the node n2, which is this machine too
	strangerLAN = "198.51.100.2"
)

func testSettings() settings { return ipv4.settings() }

// svc makes a Service; each port is "[name:]port/protocol[:nodePort]".
func svc(name, ip string, ports ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.Type = ip, []string{ip}, corev1.ServiceTypeClusterIP
	for _, text := range ports {
		p := corev1.ServicePort{}
		if before, after, ok := strings.Cut(text, "="); ok {
			p.Name, text = before, after
		}
		number, rest, _ := strings.Cut(text, "/")
		proto, node, _ := strings.Cut(rest, ":")
		p.Port, p.Protocol, p.NodePort = atoi(number), corev1.Protocol(proto), atoi(node)
		if p.NodePort != 0 {
			s.Spec.Type = corev1.ServiceTypeNodePort
		}
		s.Spec.Ports = append(s.Spec.Ports, p)
	}
	return s
}

// balancer has the Service a load balancer's addresses.
func balancer(s *corev1.Service, addresses ...string) *corev1.Service {
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	for _, a := range addresses {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	return s
}

func atoi(s string) int32 {
	n := int32(0)
	for _, c := range s {
		n = n*10 + c - '0'
	}
	return n
}

// slice makes a Service's EndpointSlice: each port is "[name=]number/protocol", each address is ready on node n1.
func slice(service string, ports []string, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	s.Namespace, s.Name = "default", service+"-1"
	s.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	for _, text := range ports {
		name, number, ok := strings.Cut(text, "=")
		if !ok {
			name, number = "", text
		}
		number, proto, _ := strings.Cut(number, "/")
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{
			Name: &name, Port: ptr.To(atoi(number)), Protocol: ptr.To(corev1.Protocol(proto))})
	}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}, NodeName: ptr.To("n1"),
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}})
	}
	return s
}

func ports(p ...string) []string { return p }

// worldObjects are Services of every sort.
func worldObjects() ([]*corev1.Service, []*discoveryv1.EndpointSlice) {
	local := svc("local", "10.96.0.6", "80/TCP:30084")
	local.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	elsewhere := slice("local", ports("8080/TCP"), podB)
	elsewhere.Name, elsewhere.Endpoints[0].NodeName = "local-2", ptr.To("n9") // of another machine
	apart := svc("apart", "10.96.0.15", "80/TCP:30085")
	apart.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	beyond := slice("apart", ports("8080/TCP"), podB)
	beyond.Name, beyond.Endpoints[0].NodeName = "apart-2", ptr.To("n2")
	there := svc("there", "10.96.0.16", "80/TCP:30086")
	there.Spec.ExternalTrafficPolicy, there.Spec.SessionAffinity = corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceAffinityClientIP
	onlyThere := slice("there", ports("8080/TCP"), podB)
	onlyThere.Endpoints[0].NodeName = ptr.To("n2")

	near := nearby("near", "10.96.0.17", "80/TCP:30087")
	nearSlice := onNodes(slice("near", ports("8080/TCP"), podA, podB), "n1", "n2")
	faithful := nearby("faithful", "10.96.0.18", "80/TCP")
	faithful.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	faithfulSlice := onNodes(slice("faithful", ports("8080/TCP"), podA, podB), "n1", "n2")
	yonder, yonderSlice := nearby("yonder", "10.96.0.19", "80/TCP"), onNodes(slice("yonder", ports("8080/TCP"), podA, podB), "n2", "n2")
	here, hereSlice := nearby("here", "10.96.0.20", "80/TCP", "dns=53/UDP"), slice("here", ports("8080/TCP", "dns=8080/UDP"), podA, podB)

	sticky := svc("sticky", "10.96.0.5", "80/TCP:30083")
	sticky.Spec.SessionAffinity = corev1.ServiceAffinityClientIP

	external := svc("external", "10.96.0.7", "80/TCP")
	external.Spec.ExternalIPs = []string{"203.0.113.7"}
	balanced := balancer(svc("balanced", "10.96.0.11", "8000/TCP"), "127.0.0.1", hostOnLAN)
	ranged := balancer(svc("ranged", "10.96.0.12", "8001/TCP"), "127.0.0.2", hostOnLAN, "203.0.113.8")
	ranged.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24"}
	neighbours := balancer(svc("nearby", "10.96.0.13", "8002/TCP"), hostOnLAN)
	neighbours.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24", "198.51.100.0/24"}
	unanswered := balancer(svc("unanswered", "10.96.0.14", "8003/TCP"), "127.0.0.1")
	none := svc("none", "10.96.0.4", "tcp=80/TCP:30082", "udp=80/UDP:30082")
	none.Spec.ExternalIPs = []string{"203.0.113.9"}

	return []*corev1.Service{
			svc("web", "10.96.0.2", "http=80/TCP:30080", "admin=81/TCP"),
			svc("self", "10.96.0.3", "80/TCP:30081"),
			none, sticky, local, apart, there, external, balanced, ranged, neighbours, unanswered,
			svc("dns", "10.96.0.10", "dns=53/UDP:30053", "dns-tcp=53/TCP"),
			svc("machine", "10.96.0.1", "443/TCP"),
			svc("outside", "10.96.0.8", "80/TCP"), near, faithful, yonder, here,
		}, []*discoveryv1.EndpointSlice{
			slice("web", ports("http=8080/TCP", "admin=9090/TCP"), podA, podB),
			slice("self", ports("8080/TCP"), podA),
			slice("sticky", ports("8080/TCP"), podA, podB),
			slice("local", ports("8080/TCP"), podA), elsewhere,
			slice("apart", ports("8080/TCP"), podA), beyond, onlyThere,
			slice("external", ports("8080/TCP"), podA),
			slice("balanced", ports("8080/TCP"), podA),
			slice("ranged", ports("8080/TCP"), podA),
			slice("nearby", ports("8080/TCP"), podA),
			slice("dns", ports("dns=8080/UDP", "dns-tcp=8080/TCP"), podA, podB),
			slice("machine", ports("6443/TCP"), gateway),
			slice("outside", ports("8080/TCP"), strangerLAN), nearSlice, faithfulSlice, yonderSlice, hereSlice,
		}
}

// nearby is a Service that keeps clients inside the cluster to their node.
func nearby(name, ip string, ports ...string) *corev1.Service {
	s := svc(name, ip, ports...)
	s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	return s
}

// onNodes says of each endpoint on which node it is.
func onNodes(s *discoveryv1.EndpointSlice, names ...string) *discoveryv1.EndpointSlice {
	for i, name := range names {
		s.Endpoints[i].NodeName = ptr.To(name)
	}
	return s
}

// oneNode is a machine that is one node.
func oneNode(name string) nodes { return nodes{{name: name}} }

// worldNodes are those that this machine is: n1, and n2 with an address on the bridge and a range with one Pod.
func worldNodes(f family) nodes {
	return nodes{
		{name: "n1", addresses: []netip.Addr{netip.MustParseAddr(f.text(hostOnLAN))}, first: true},
		{
			name: "n2", addresses: []netip.Addr{netip.MustParseAddr(f.text(nodeB))},
			pods: []netip.Prefix{netip.MustParsePrefix(f.text(podB + "/32"))},
		},
	}
}

// snapshot joins Services with their EndpointSlices, as a Proxy does.
func snapshot(services []*corev1.Service, eps []*discoveryv1.EndpointSlice, on nodes) []servicePort {
	of := map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	for _, s := range eps {
		of[ownerOf(s)] = append(of[ownerOf(s)], s)
	}
	var all []servicePort
	for _, s := range services {
		all = append(all, portsOf(s, of[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}], on)...)
	}
	slices.SortFunc(all, compareServicePorts)
	return all
}

func worldPorts() []servicePort { return ipv4.worldPorts() }

// pod makes a Pod of node n1; each port is "[hostIP:]hostPort/protocol", and leads to 8080.
func pod(name, address string, ports ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	p.Spec.NodeName, p.Status.PodIP = "n1", address
	c := corev1.Container{Name: "app"}
	for _, text := range ports {
		text, proto, _ := strings.Cut(text, "/")
		port := corev1.ContainerPort{ContainerPort: 8080, Protocol: corev1.Protocol(proto)}
		if host, number, ok := strings.Cut(text, ":"); ok {
			port.HostIP, text = host, number
		}
		port.HostPort = atoi(text)
		c.Ports = append(c.Ports, port)
	}
	p.Spec.Containers = []corev1.Container{c}
	return p
}

func onNodeB(p *corev1.Pod) *corev1.Pod {
	p.Spec.NodeName = "n2"
	return p
}

// worldPods are Pods with ports of this machine.
func worldPods() []*corev1.Pod {
	return []*corev1.Pod{
		pod("ported", podA, "9080/TCP", "9080/UDP", "127.0.0.1:9081/TCP", "0.0.0.0:9083/TCP"),
		pod("starting", "", "9082/TCP", "9082/UDP"),
		onNodeB(pod("twin", podB, "9080/TCP", "9084/TCP")),
	}
}

// path is one way of a packet, and where connections that take it may end.
type path struct {
	says  string
	from  string // an address of this world; "host" is this machine's own choice of an address
	to    string // protocol://address:port
	opens string // NodePortAddresses, "" for none
	blind bool   // iptables does not see what the bridge switches
	want  string // "endpoint<-client as it sees it" for all that must happen, or refused, or untouched
}

const (
	refused   = "refused"
	untouched = "untouched" // no rule applies: it goes to what is there, which is nothing, so TCP refuses
)

// paths is what Services promise. Once one is blind, all that follow are.
var paths = []path{
	{says: "pod to ClusterIP", from: podA, to: "tcp://10.96.0.2:80",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.2"},
	{says: "pod to the second port", from: podB, to: "tcp://10.96.0.2:81",
		want: "10.244.0.2:9090<-10.244.0.3 10.244.0.3:9090<-10.244.0.1"},
	{says: "pod to itself through its own Service", from: podA, to: "tcp://10.96.0.3:80",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to UDP", from: podB, to: "udp://10.96.0.10:53",
		want: "10.244.0.2:8080<-10.244.0.3 10.244.0.3:8080<-10.244.0.1"},
	{says: "pod to the same port by TCP", from: podB, to: "tcp://10.96.0.10:53",
		want: "10.244.0.2:8080<-10.244.0.3 10.244.0.3:8080<-10.244.0.1"},
	{says: "pod to this machine's process behind a Service", from: podA, to: "tcp://10.96.0.1:443",
		want: "10.244.0.1:6443<-10.244.0.2"},
	{says: "pod to a Service without endpoints", from: podA, to: "tcp://10.96.0.4:80", want: refused},
	{says: "pod to a Service without endpoints, UDP", from: podA, to: "udp://10.96.0.4:80", want: refused},
	{says: "pod to a port that the Service has not", from: podA, to: "tcp://10.96.0.2:8080", want: refused},
	{says: "pod to a ClusterIP that nobody has", from: podA, to: "udp://10.96.77.7:53", want: refused},
	{says: "pod to NodePort", from: podB, to: "tcp://10.244.0.1:30081", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to NodePort at the LAN address", from: podB, to: "tcp://198.51.100.1:30081",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to itself through its own NodePort", from: podA, to: "tcp://10.244.0.1:30081",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to NodePort without endpoints", from: podA, to: "tcp://10.244.0.1:30082", want: refused},
	{says: "pod to NodePort without endpoints, UDP", from: podA, to: "udp://10.244.0.1:30082", want: refused},
	{says: "pod to NodePort that keeps the client's address", from: podB, to: "tcp://10.244.0.1:30084",
		want: "10.244.0.2:8080<-10.244.0.3"},
	{says: "pod to externalIP", from: podB, to: "tcp://203.0.113.7:80", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to externalIP without endpoints", from: podB, to: "tcp://203.0.113.9:80", want: refused},
	{says: "pod to the NodePort's number at a ClusterIP", from: podA, to: "tcp://10.96.0.2:30080", want: refused},
	{says: "pod to another pod", from: podA, to: "tcp://10.244.0.3:8080", want: untouched},

	{says: "host to ClusterIP", from: "host", to: "tcp://10.96.0.2:80",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "host to UDP", from: "host", to: "udp://10.96.0.10:53",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "host to itself behind a Service", from: "host", to: "tcp://10.96.0.1:443", want: "10.244.0.1:6443<-host"},
	{says: "host to a machine of the LAN behind a Service", from: "host", to: "tcp://10.96.0.8:80",
		want: "198.51.100.2:8080<-198.51.100.1"},
	{says: "host to a Service without endpoints", from: "host", to: "tcp://10.96.0.4:80", want: refused},
	{says: "host to a Service without endpoints, UDP", from: "host", to: "udp://10.96.0.4:80", want: refused},
	{says: "host to NodePort on localhost", from: "host", to: "tcp://127.0.0.1:30080",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "host to UDP NodePort on localhost", from: "host", to: "udp://127.0.0.1:30053",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "host to NodePort at its LAN address", from: "host", to: "tcp://198.51.100.1:30081",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to NodePort at the gateway address", from: "host", to: "tcp://10.244.0.1:30081",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to NodePort on localhost that keeps the client's address", from: "host", to: "tcp://127.0.0.1:30084",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to NodePort without endpoints", from: "host", to: "tcp://127.0.0.1:30082", want: refused},
	{says: "host to NodePort without endpoints, UDP", from: "host", to: "udp://127.0.0.1:30082", want: refused},
	{says: "host to externalIP", from: "host", to: "tcp://203.0.113.7:80", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to a port that is no NodePort", from: "host", to: "tcp://127.0.0.1:30099", want: untouched},

	{says: "host to load balancer on localhost", from: "host", to: "tcp://127.0.0.1:8000", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to load balancer at its LAN address", from: "host", to: "tcp://198.51.100.1:8000", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to load balancer at another loopback address", from: "host", to: "tcp://127.0.0.2:8001",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to another loopback address's load balancer", from: "host", to: "tcp://127.0.0.2:8000", want: untouched},
	{says: "host to load balancer without endpoints", from: "host", to: "tcp://127.0.0.1:8003", want: refused},
	{says: "pod to load balancer", from: podB, to: "tcp://198.51.100.1:8000", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to itself through its own load balancer", from: podA, to: "tcp://198.51.100.1:8000", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to load balancer of others", from: podB, to: "tcp://203.0.113.8:8001", want: refused},
	{says: "LAN to load balancer", from: strangerLAN, to: "tcp://198.51.100.1:8000", want: untouched},
	{says: "LAN to load balancer that is open", from: strangerLAN, to: "tcp://198.51.100.1:8000", opens: "198.51.100.0/24",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "LAN to open load balancer of others", from: strangerLAN, to: "tcp://198.51.100.1:8001", opens: "198.51.100.0/24", want: refused},
	{says: "LAN to open load balancer of its own", from: strangerLAN, to: "tcp://198.51.100.1:8002", opens: "198.51.100.0/24",
		want: "10.244.0.2:8080<-10.244.0.1"},

	{says: "LAN to NodePort", from: strangerLAN, to: "tcp://198.51.100.1:30080", want: untouched},
	{says: "LAN to ClusterIP", from: strangerLAN, to: "tcp://10.96.0.2:80", want: refused},
	{says: "LAN to externalIP", from: strangerLAN, to: "tcp://203.0.113.7:80", want: untouched},
	{says: "LAN to NodePort that is open", from: strangerLAN, to: "tcp://198.51.100.1:30081", opens: "198.51.100.0/24",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "LAN to open NodePort that keeps the client's address", from: strangerLAN, to: "tcp://198.51.100.1:30084",
		opens: "0.0.0.0/0", want: "10.244.0.2:8080<-198.51.100.2"},
	{says: "LAN to open NodePort without endpoints", from: strangerLAN, to: "tcp://198.51.100.1:30082",
		opens: "198.51.100.0/24", want: refused},
	{says: "LAN to NodePort that is open at other addresses", from: strangerLAN, to: "tcp://198.51.100.1:30081",
		opens: "192.168.0.0/16", want: untouched},
	{says: "LAN to pod", from: strangerLAN, to: "tcp://10.244.0.2:8080", want: refused},
	{says: "LAN to pod, UDP", from: strangerLAN, to: "udp://10.244.0.2:8080", want: refused},
	{says: "LAN to what listens on the bridge", from: strangerLAN, to: "tcp://10.244.0.1:6443", want: refused},
	{says: "LAN to what listens on the bridge, UDP", from: strangerLAN, to: "udp://10.244.0.1:6443", want: refused},
	{says: "LAN to pod, NodePorts open", from: strangerLAN, to: "tcp://10.244.0.2:8080", opens: "198.51.100.0/24", want: refused},
	{says: "LAN to what listens on the bridge, NodePorts open", from: strangerLAN, to: "tcp://10.244.0.1:6443", opens: "0.0.0.0/0", want: refused},
	{says: "pod to what listens on the bridge", from: podA, to: "tcp://10.244.0.1:6443", want: untouched},
	{says: "host to what listens on the bridge", from: "host", to: "tcp://10.244.0.1:6443", want: untouched},
	{says: "host to pod", from: "host", to: "tcp://10.244.0.2:8080", want: untouched},
	{says: "LAN to ClusterIP, NodePorts open", from: strangerLAN, to: "tcp://10.96.0.2:80", opens: "0.0.0.0/0", want: refused},

	{says: "host to hostPort on localhost", from: "host", to: "tcp://127.0.0.1:9080", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to hostPort on localhost, UDP", from: "host", to: "udp://127.0.0.1:9080", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to hostPort at its LAN address", from: "host", to: "tcp://198.51.100.1:9080",
		want: "10.244.0.2:8080<-198.51.100.1"},
	{says: "host to hostPort at the gateway address", from: "host", to: "tcp://10.244.0.1:9080",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to hostPort of any address", from: "host", to: "tcp://127.0.0.1:9083", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to hostPort of localhost", from: "host", to: "tcp://127.0.0.1:9081", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to hostPort of localhost elsewhere", from: "host", to: "tcp://198.51.100.1:9081", want: untouched},
	{says: "host to hostPort of a pod without an address", from: "host", to: "tcp://127.0.0.1:9082", want: refused},
	{says: "host to hostPort of a pod without an address, UDP", from: "host", to: "udp://127.0.0.1:9082", want: refused},
	{says: "pod to hostPort", from: podB, to: "tcp://10.244.0.1:9080", want: "10.244.0.2:8080<-10.244.0.3"},
	{says: "pod to hostPort, UDP", from: podB, to: "udp://10.244.0.1:9080", want: "10.244.0.2:8080<-10.244.0.3"},
	{says: "pod to hostPort at the LAN address, UDP", from: podB, to: "udp://198.51.100.1:9080",
		want: "10.244.0.2:8080<-10.244.0.3"},
	{says: "pod to itself through its own hostPort", from: podA, to: "tcp://198.51.100.1:9080",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to itself through its own hostPort, UDP", from: podA, to: "udp://10.244.0.1:9080",
		want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to hostPort of localhost", from: podB, to: "tcp://10.244.0.1:9081", want: untouched},
	{says: "pod to hostPort of a pod without an address, UDP", from: podB, to: "udp://10.244.0.1:9082", want: refused},
	{says: "LAN to hostPort", from: strangerLAN, to: "tcp://198.51.100.1:9080", want: "10.244.0.2:8080<-198.51.100.2"},
	{says: "LAN to hostPort, UDP", from: strangerLAN, to: "udp://198.51.100.1:9080", want: "10.244.0.2:8080<-198.51.100.2"},
	{says: "LAN to hostPort of localhost", from: strangerLAN, to: "tcp://198.51.100.1:9081", want: untouched},
	{says: "LAN to hostPort of a pod without an address", from: strangerLAN, to: "tcp://198.51.100.1:9082", want: refused},
	{says: "host to NodePort of all nodes", from: "host", to: "tcp://127.0.0.1:30085",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "host to NodePort of its own node", from: "host", to: "tcp://198.51.100.1:30085", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to NodePort of the other node", from: "host", to: "tcp://10.244.1.1:30085", want: "10.244.0.3:8080<-10.244.0.1"},
	{says: "pod to NodePort of the other node", from: podA, to: "tcp://10.244.1.1:30085", want: "10.244.0.3:8080<-10.244.0.2"},
	{says: "LAN to open NodePort of the first node", from: strangerLAN, to: "tcp://198.51.100.1:30085", opens: "198.51.100.0/24",
		want: "10.244.0.2:8080<-198.51.100.2"},
	{says: "host to NodePort that only the other node has", from: "host", to: "tcp://127.0.0.1:30086", want: "10.244.0.3:8080<-10.244.0.1"},
	{says: "pod to NodePort that only the other node has", from: podA, to: "tcp://10.244.1.1:30086", want: "10.244.0.3:8080<-10.244.0.2"},
	{says: "host to NodePort of a node that has none", from: "host", to: "tcp://198.51.100.1:30086", want: refused},
	{says: "host to NodePort at the other node", from: "host", to: "tcp://10.244.1.1:30081", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to hostPort of the other node", from: "host", to: "tcp://10.244.1.1:9080", want: "10.244.0.3:8080<-10.244.1.1"},
	{says: "pod to hostPort of the other node", from: podA, to: "tcp://10.244.1.1:9080", want: "10.244.0.3:8080<-10.244.0.2"},
	{says: "host to hostPort that only the other node has", from: "host", to: "tcp://127.0.0.1:9084", want: "10.244.0.3:8080<-10.244.0.1"},

	{says: "pod of the first node to a Service that keeps to nodes", from: podA, to: "tcp://10.96.0.17:80", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod of the other node to a Service that keeps to nodes", from: podB, to: "tcp://10.96.0.17:80", want: "10.244.0.3:8080<-10.244.0.1"},
	{says: "host to a Service that keeps to nodes", from: "host", to: "tcp://10.96.0.17:80", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "host to NodePort of a Service that keeps pods to nodes", from: "host", to: "tcp://127.0.0.1:30087",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "pod to NodePort of a Service that keeps pods to nodes", from: podB, to: "tcp://10.244.0.1:30087",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "pod of the first node, with affinity", from: podA, to: "tcp://10.96.0.18:80", want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod of the other node, with affinity", from: podB, to: "tcp://10.96.0.18:80", want: "10.244.0.3:8080<-10.244.0.1"},
	{says: "pod to a Service that only the other node has", from: podA, to: "tcp://10.96.0.19:80", want: refused},
	{says: "host to a Service that only the other node has", from: "host", to: "tcp://10.96.0.19:80", want: refused},
	{says: "pod of the other node to its two endpoints", from: podB, to: "tcp://10.96.0.19:80",
		want: "10.244.0.2:8080<-10.244.0.3 10.244.0.3:8080<-10.244.0.1"},
	{says: "pod of the other node to a Service that only the first has", from: podB, to: "tcp://10.96.0.20:80", want: refused},
	{says: "pod of the other node to a Service that only the first has, UDP", from: podB, to: "udp://10.96.0.20:53", want: refused},
	{says: "pod to a Service that only its node has, UDP", from: podA, to: "udp://10.96.0.20:53",
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.2"},

	{says: "pod to hostPort, unseen", from: podB, to: "tcp://10.244.0.1:9080", blind: true, want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to hostPort, UDP, unseen", from: podB, to: "udp://10.244.0.1:9080", blind: true,
		want: "10.244.0.2:8080<-10.244.0.1"},

	{says: "pod to ClusterIP, unseen", from: podA, to: "tcp://10.96.0.2:80", blind: true,
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "pod to itself, unseen", from: podA, to: "tcp://10.96.0.3:80", blind: true, want: "10.244.0.2:8080<-10.244.0.1"},
	{says: "pod to UDP, unseen", from: podB, to: "udp://10.96.0.10:53", blind: true,
		want: "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"},
	{says: "pod to a Service without endpoints, unseen", from: podA, to: "udp://10.96.0.4:80", blind: true, want: refused},
	{says: "host to NodePort on localhost, pods unseen", from: "host", to: "tcp://127.0.0.1:30081", blind: true,
		want: "10.244.0.2:8080<-10.244.0.1"},
}

// settings are the world's, with what the path asks for.
func (p path) settings(f family) settings {
	s := f.settings()
	s.masqueradePods = p.blind
	if p.opens != "" {
		s.nodePortAddresses = []netip.Prefix{netip.MustParsePrefix(p.opens)}
	}
	return s
}

// desiredOf is what a Proxy would make of them.
func desiredOf(s settings, ports []servicePort, hosts []hostPort) *desired {
	d := newDesired(s)
	for _, sp := range ports {
		d.services[sp.Service] = append(d.services[sp.Service], sp)
	}
	d.hosts = hosts
	return d
}

func modes() []Mode { return []Mode{ModeIPTables, ModeNFTables} }

func newWalker(t *testing.T, mode Mode, want *desired) walker {
	if mode == ModeIPTables {
		rules := render(want.settings, want.ports(), want.hosts)
		want.settings.addPolicies(rules["filter"], want.policies)
		return newTracer(t, rules.String())
	}
	text, passes := nftText(t, want)
	return newNftTracer(t, text, newTracer(t, passes.String()))
}

func TestEveryPathIsTraced(t *testing.T) {
	for _, mode := range modes() {
		for _, f := range families() {
			for _, p := range f.paths() {
				t.Run(string(mode)+"/"+f.ip()+"/"+p.says, func(t *testing.T) {
					w := newWalker(t, mode, desiredOf(p.settings(f), f.worldPorts(), f.worldHosts()))
					if got := trace(w, p.from, p.to); got != p.want {
						t.Errorf("%s to %s:\n got %s\nwant %s", p.from, p.to, got, p.want)
					}
				})
			}
		}
	}
}
