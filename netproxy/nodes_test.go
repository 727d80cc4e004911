package netproxy

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodesAreToldApartWhenThereAreSeveral(t *testing.T) {
	address := func(text string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(text)} }
	alone := nodes{{name: "n1", addresses: address(hostOnLAN)}}
	two := append(slices.Clone(alone), node{name: "n2", addresses: append(address(nodeB), address("fd00::101")...)})
	if len(alone.apart()) != 0 || len(two.apart()) != 2 {
		t.Errorf("apart are %v, %v", alone.apart(), two.apart())
	}
	if got := two.of("n2", ipv6); !slices.Equal(got, address("fd00::101")) {
		t.Errorf("n2 has %v of IPv6", got)
	}
	if got := alone.of("n2", ipv4); got != nil || alone.has("n2") || !two.has("n2") {
		t.Errorf("a node that is not there: %v, %v", got, alone.has("n2"))
	}
	read := nodeOf(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "n"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.1"}, {Type: corev1.NodeExternalIP, Address: "203.0.113.1"},
	}}})
	if !slices.Equal(read.addresses, address("10.0.0.1")) {
		t.Errorf("read %v", read)
	}
}

// With one node nothing is told apart: the rules are as if nobody knew of nodes.
func TestOneNodeHasNoRulesOfItsOwn(t *testing.T) {
	services, eps := worldObjects()
	for _, sp := range snapshot(services, eps, oneNode("n1")) {
		if sp.ByNode != nil || sp.InternalByNode != nil {
			t.Errorf("%s: %v, %v", sp.String(), sp.ByNode, sp.InternalByNode)
		}
	}
	for _, h := range hostSnapshot(worldPods(), oneNode("n1"), ipv4) {
		if h.OfNode || h.Pod.Name == "twin" {
			t.Errorf("%s is of a node", h)
		}
	}
}

func TestAHostPortOfSeveralNodesIsHeldOnce(t *testing.T) {
	hosts := hostSnapshot([]*corev1.Pod{pod("one", podA, "9080/TCP"), onNodeB(pod("two", podB, "9080/TCP"))}, worldNodes(ipv4), ipv4)
	if claims := hostClaims(hosts); len(hosts) != 3 || len(claims) != 1 || claims[0].addr.IsValid() {
		t.Errorf("%v hold %v", hosts, claims)
	}
	taken := map[nodePort]error{hosts[2].socket(): errors.New("taken")}
	if left := withoutHostPorts(hosts, taken); len(left) != 0 {
		t.Errorf("with the port taken by another program there are %v", left)
	}
}

func TestANodeAnswersForItsOwnPodsWhileItIsThere(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		d := l.start(testOptions("test", testBridge), world())
		at := func(address, want string) {
			t.Helper()
			eventually(t, "port 30085 of "+address+" leads to "+want, func() bool { return l.ask("host", "tcp://"+address+":30085") == want })
		}
		at(nodeB, "10.244.0.3:8080<-10.244.0.1")
		at(hostOnLAN, "10.244.0.2:8080<-10.244.0.1")
		nodes := d.client.CoreV1().Nodes()
		if err := nodes.Delete(t.Context(), "n2", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		at(nodeB, "10.244.0.2:8080<-10.244.0.1") // an address of this machine like any other
		if _, err := nodes.Create(t.Context(), worldNodes(ipv4)[1].object(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		at(nodeB, "10.244.0.3:8080<-10.244.0.1")
	})
}

// object is the Node in the API.
func (n node) object() *corev1.Node {
	out := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.name}}
	for _, r := range n.pods {
		out.Spec.PodCIDRs = append(out.Spec.PodCIDRs, r.String())
	}
	for _, a := range n.addresses {
		out.Status.Addresses = append(out.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	return out
}

func TestClientsOfSeveralNodesAreKeptToTheirOwn(t *testing.T) {
	s, eps := nearby("near", "10.96.0.2", "80/UDP:30080"), onNodes(slice("near", ports("8080/UDP"), podA, podB), "n1", "n2")
	at := func(address string) []netip.AddrPort {
		return []netip.AddrPort{netip.MustParseAddrPort(address + ":8080")}
	}
	sp := snapshot([]*corev1.Service{s}, []*discoveryv1.EndpointSlice{eps}, worldNodes(ipv4))[0]
	if !slices.Equal(sp.Internal, at(podA)) || len(sp.InternalByNode) != 1 || !slices.Equal(sp.InternalByNode[0].Endpoints, at(podB)) {
		t.Errorf("inside are %v and %v", sp.Internal, sp.InternalByNode)
	}
	both := append(at(podA), at(podB)...)
	if !slices.Equal(sp.External, both) || !slices.Equal(sp.inside(), both) { // flows of UDP to either are not lost ones
		t.Errorf("outside are %v, inside are %v", sp.External, sp.inside())
	}
}
