package netproxy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"k8s.io/utils/ptr"
)

// The whole text for one Service with affinity and a NodePort, and one that nobody answers for.
const wholeText = `*filter
:P-FORWARD - [0:0]
:P-INPUT - [0:0]
:P-OUTPUT - [0:0]
:P-REJECT - [0:0]
:P-STRANGERS - [0:0]
-A P-FORWARD -j P-REJECT
-A P-FORWARD ! -i kl-test0 -d 10.244.0.0/16 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j P-STRANGERS
-A P-FORWARD -i kl-test0 -m conntrack --ctstate INVALID -j DROP
-A P-FORWARD -i kl-test0 -o kl-test0 -j ACCEPT
-A P-FORWARD -o kl-test0 -m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT
-A P-FORWARD -i kl-test0 -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT
-A P-INPUT -j P-REJECT
-A P-INPUT -i kl-test0 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A P-INPUT ! -i kl-test0 -d 10.244.0.0/16 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j P-STRANGERS
-A P-INPUT -i kl-test0 -m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT
-A P-OUTPUT -j P-REJECT
-A P-REJECT -p tcp -m mark --mark 0x8000/0x8000 -j REJECT --reject-with tcp-reset
-A P-REJECT -m mark --mark 0x8000/0x8000 -j REJECT --reject-with icmp-port-unreachable
-A P-REJECT -d 10.96.0.0/16 -m conntrack --ctstate INVALID -j DROP
-A P-REJECT -d 10.96.0.0/16 -p tcp -j REJECT --reject-with tcp-reset
-A P-REJECT -d 10.96.0.0/16 -j REJECT --reject-with icmp-port-unreachable
-A P-STRANGERS -i lo -j RETURN
-A P-STRANGERS -p tcp -j REJECT --reject-with tcp-reset
-A P-STRANGERS -j REJECT --reject-with icmp-port-unreachable
COMMIT
*nat
:P-EXT-3R2KGKB7 - [0:0]
:P-EXTERNAL - [0:0]
:P-NODEPORTS - [0:0]
:P-OUTPUT - [0:0]
:P-POSTROUTING - [0:0]
:P-PREROUTING - [0:0]
:P-SEP-LGKD5V3X - [0:0]
:P-SEP-TD4NPQU2 - [0:0]
:P-SERVICES - [0:0]
:P-SVC-3R2KGKB7 - [0:0]
-A P-EXT-3R2KGKB7 -j MARK --set-xmark 0x4000/0x4000
-A P-EXT-3R2KGKB7 -j P-SVC-3R2KGKB7
-A P-EXTERNAL -d 203.0.113.9/32 -p tcp -m tcp --dport 80 -m comment --comment "default/none:tcp/tcp" -j MARK --set-xmark 0x8000/0x8000
-A P-EXTERNAL -d 203.0.113.9/32 -p udp -m udp --dport 80 -m comment --comment "default/none:udp/udp" -j MARK --set-xmark 0x8000/0x8000
-A P-EXTERNAL -m addrtype --dst-type LOCAL -j P-NODEPORTS
-A P-NODEPORTS -p tcp -m tcp --dport 30082 -m comment --comment "default/none:tcp/tcp" -j MARK --set-xmark 0x8000/0x8000
-A P-NODEPORTS -p tcp -m tcp --dport 30083 -m comment --comment "default/sticky:/tcp" -j P-EXT-3R2KGKB7
-A P-NODEPORTS -p udp -m udp --dport 30082 -m comment --comment "default/none:udp/udp" -j MARK --set-xmark 0x8000/0x8000
-A P-OUTPUT -d 10.96.0.0/16 -j MARK --set-xmark 0x4000/0x4000
-A P-OUTPUT -j P-SERVICES
-A P-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A P-POSTROUTING -j MARK --set-xmark 0x0/0x4000
-A P-POSTROUTING -j MASQUERADE --random-fully
-A P-PREROUTING -i kl-test0 -j P-SERVICES
-A P-PREROUTING ! -i kl-test0 -d 198.51.100.0/24 -m addrtype --dst-type LOCAL -j P-EXTERNAL
-A P-SEP-LGKD5V3X -s 10.244.0.2/32 -j MARK --set-xmark 0x4000/0x4000
-A P-SEP-LGKD5V3X -p tcp -m recent --name P-SEP-LGKD5V3X --set -j DNAT --to-destination 10.244.0.2:8080
-A P-SEP-TD4NPQU2 -s 10.244.0.3/32 -j MARK --set-xmark 0x4000/0x4000
-A P-SEP-TD4NPQU2 -p tcp -m recent --name P-SEP-TD4NPQU2 --set -j DNAT --to-destination 10.244.0.3:8080
-A P-SERVICES -d 10.96.0.5/32 -p tcp -m tcp --dport 80 -m comment --comment "default/sticky:/tcp" -j P-SVC-3R2KGKB7
-A P-SERVICES -j P-EXTERNAL
-A P-SVC-3R2KGKB7 -m recent --name P-SEP-LGKD5V3X --rcheck --seconds 10800 --reap -j P-SEP-LGKD5V3X
-A P-SVC-3R2KGKB7 -m recent --name P-SEP-TD4NPQU2 --rcheck --seconds 10800 --reap -j P-SEP-TD4NPQU2
-A P-SVC-3R2KGKB7 -m statistic --mode random --probability 0.5000000000 -j P-SEP-LGKD5V3X
-A P-SVC-3R2KGKB7 -j P-SEP-TD4NPQU2
COMMIT
`

// only picks the world's ports of some Services.
func only(names ...string) []servicePort {
	var picked []servicePort
	for _, sp := range worldPorts() {
		for _, name := range names {
			if sp.Service.Name == name {
				picked = append(picked, sp)
			}
		}
	}
	return picked
}

func TestTheWholeText(t *testing.T) {
	s := testSettings()
	s.nodePortAddresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	got := strings.ReplaceAll(render(s, only("none", "sticky"), nil).String(), s.prefix, "P-")
	if got == wholeText {
		return
	}
	want := strings.Split(wholeText, "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(want) || line != want[i] {
			t.Fatalf("line %d is\n%s\nin\n%s", i+1, line, got)
		}
	}
	t.Fatalf("the text ends early:\n%s", got)
}

func TestWhatTheKernelLacksIsLeftOut(t *testing.T) {
	s := testSettings()
	s.features = features{}
	ports := append(only("sticky"), servicePort{Protocol: "SCTP", id: "x", ClusterIP: netip.MustParseAddr("10.96.0.50"),
		Port: 1, NodePort: 31000, Internal: only("sticky")[0].Internal, External: only("sticky")[0].External})
	text := render(s, ports, nil).String()
	for _, absent := range []string{"random-fully", "recent", "sctp"} {
		if strings.Contains(text, absent) {
			t.Errorf("the text has %s:\n%s", absent, text)
		}
	}
	if got, want := trace(newTracer(t, text), "host", "tcp://10.96.0.5:80"), "10.244.0.2:8080<-10.244.0.1 10.244.0.3:8080<-10.244.0.1"; got != want {
		t.Errorf("without affinity: got %s, want %s", got, want)
	}
}

func TestChainNamesFitTheKernel(t *testing.T) {
	const longest = 28 // XT_EXTENSION_MAXNAMELEN less the end
	services, slices := thousand(300)
	for i := range 40 {
		services = append(services, svc(fmt.Sprintf("sctp-%d", i), "10.96.1.1", fmt.Sprintf("%d/SCTP:%d", i+1, 32000+i)))
	}
	for _, s := range services {
		s.Spec.ExternalIPs = []string{s.Spec.ClusterIP}
	}
	for _, instance := range []string{"default", strings.Repeat("x", 32)} {
		s := testSettings()
		s.prefix = ChainPrefix(instance)
		for _, chains := range render(s, snapshot(services, slices, oneNode("n1")), nil) {
			for name := range chains {
				if len(name) > longest || !strings.HasPrefix(name, ChainPrefix(instance)) {
					t.Errorf("chain name %s", name)
				}
			}
		}
	}
	if ChainPrefix("a") == ChainPrefix("b") {
		t.Error("two instances share their chains")
	}
}

func TestEveryServiceOfAThousandIsFound(t *testing.T) {
	services, slices := thousand(1000)
	for _, mode := range modes() {
		tr := newWalker(t, mode, desiredOf(testSettings(), snapshot(services, slices, oneNode("n1")), nil))
		for i, s := range services {
			want := fmt.Sprintf("%[1]s:8080<-10.244.0.1 %[2]s:8080<-10.244.0.1 %[3]s:8080<-10.244.0.1",
				endpointAddress(3*i), endpointAddress(3*i+1), endpointAddress(3*i+2))
			to := []string{"tcp://" + s.Spec.ClusterIP + ":80"}
			if n := s.Spec.Ports[0].NodePort; n != 0 {
				to = append(to, fmt.Sprintf("tcp://127.0.0.1:%d", n))
			}
			for _, to := range to {
				if got := trace(tr, "host", to); sorted(got) != sorted(want) {
					t.Fatalf("%s:\n got %s\nwant %s", to, got, want)
				}
			}
		}
	}
}

func TestAmongAThousandAChangeIsSmallAndChainsAreShort(t *testing.T) {
	services, slices := thousand(1000)
	before := render(testSettings(), snapshot(services, slices, oneNode("n1")), nil)["nat"]
	for name, rules := range before {
		if len(rules) > fanout+2 {
			t.Errorf("chain %s has %d rules", name, len(rules))
		}
	}
	services = append(services, svc("extra", "10.96.128.77", "80/TCP:31999"))
	slices = append(slices, slice("extra", ports("8080/TCP"), podA))
	after := render(testSettings(), snapshot(services, slices, oneNode("n1")), nil)["nat"]
	// SERVICES at most, two branches, NODEPORTS and its branch, SVC, EXT and SEP.
	if lines := strings.Count(string(restoreText("nat", before, after, nil, nil)), "\n"); lines > 8*(fanout+3) {
		t.Errorf("a new Service takes %d lines", lines)
	}
}

func TestWhatIsRememberedDoesNotShow(t *testing.T) {
	services, slices := thousand(50)
	r, random := new(renderer), rand.New(rand.NewPCG(3, 4))
	for step := range 200 {
		i := random.IntN(len(services))
		switch random.IntN(4) {
		case 0:
			slices[i].Endpoints[0].Addresses[0] = endpointAddress(1000 + step)
		case 1:
			slices[i].Endpoints[0].Conditions.Ready = ptr.To(random.IntN(2) == 0)
		case 2:
			services[i].Spec.Ports[0].NodePort = int32(random.IntN(2) * (31000 + step))
		case 3:
			services[i].Spec.ClusterIP = fmt.Sprintf("10.96.255.%d", step)
		}
		s := testSettings()
		s.features.recent = step%50 != 0
		ports := snapshot(services, slices, oneNode("n1"))
		if got, want := r.render(s, ports, nil).String(), render(s, ports, nil).String(); got != want {
			t.Fatalf("step %d:\n%s\nwant\n%s", step, got, want)
		}
	}
}
