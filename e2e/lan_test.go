package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	// scanners try ports at the same time.
	scanners = 64
	// scanLimit is what one port may take: one that is open or refused answers in a fraction of it.
	scanLimit = 300 * time.Millisecond
	// silence is how long an answer is waited for that must not come.
	silence = time.Second
)

// lan is a network with this machine and a neighbour on it, who sends this machine what he has for all other addresses.
type lan struct {
	name           string // of the neighbour's network namespace
	opened, closed string // addresses of this machine
}

// newLAN takes addresses from the range for tests of networks (RFC 2544).
func newLAN(t *testing.T) lan {
	t.Helper()
	n := os.Getpid() % 250
	l := lan{fmt.Sprintf("e2e-lan-%d", os.Getpid()), fmt.Sprintf("198.18.%d.1", n), fmt.Sprintf("198.18.%d.3", n)}
	device := fmt.Sprintf("lan%d", os.Getpid())
	for _, command := range []string{
		"netns add " + l.name,
		"link add " + device + " type veth peer name eth0 netns " + l.name,
		"address add " + l.opened + "/24 dev " + device,
		"address add " + l.closed + "/24 dev " + device,
		"link set " + device + " up",
		fmt.Sprintf("-n %s address add 198.18.%d.2/24 dev eth0", l.name, n),
		"-n " + l.name + " link set eth0 up",
		"-n " + l.name + " route add default via " + l.opened,
		"netns exec " + l.name + " sysctl -qw net.ipv4.conf.eth0.route_localnet=1",
		"-n " + l.name + " route add 127.0.0.0/8 via " + l.opened,
	} {
		if _, err := output("ip", strings.Fields(command)...); err != nil {
			t.Fatal(err)
		}
		undo := ""
		switch {
		case strings.HasPrefix(command, "netns add"):
			undo = "netns delete " + l.name
		case strings.HasPrefix(command, "link add"): // it would go with the namespace, but some time later
			undo = "link delete " + device
		default:
			continue
		}
		t.Cleanup(func() {
			if _, err := output("ip", strings.Fields(undo)...); err != nil {
				t.Error(err)
			}
		})
	}
	return l
}

// as runs do as the neighbour: sockets that it makes are his.
func (l lan) as(do func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- func() error {
			ns, err := os.Open("/run/netns/" + l.name)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			do()
			return nil
		}()
	}()
	return <-done
}

// open lists the TCP ports of an address at which the neighbour gets a connection.
func (l lan) open(t *testing.T, address string) (ports []int) {
	t.Helper()
	var (
		all   sync.WaitGroup
		mu    sync.Mutex // guards ports
		found []int
	)
	for n := range scanners {
		all.Go(func() {
			err := l.as(func() {
				for port := n + 1; port <= 65535; port += scanners {
					conn, err := net.DialTimeout("tcp4", net.JoinHostPort(address, strconv.Itoa(port)), scanLimit)
					if err == nil {
						conn.Close()
						mu.Lock()
						found = append(found, port)
						mu.Unlock()
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	slices.Sort(found)
	return found
}

// dial returns an error unless the neighbour gets a connection.
func (l lan) dial(address string) (err error) {
	return cmp.Or(l.as(func() {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp4", address, silence); err == nil {
			conn.Close()
		}
	}), err)
}

// resolve asks for a name of the cluster.
func (l lan) resolve(network, server string) (err error) {
	client := dns.Client{Net: network, Timeout: silence}
	question := new(dns.Msg).SetQuestion("kubernetes.default.svc.cluster.local.", dns.TypeA)
	return cmp.Or(l.as(func() { _, _, err = client.Exchange(question, server) }), err)
}

// packet sends a packet and wants an answer.
func (l lan) packet(address string) (err error) {
	return cmp.Or(l.as(func() { err = askUDP(address, "packet hello") }), err)
}

// Whoever is on the same network, and knows every address of the cluster, reaches what was opened and nothing else.
func TestNeighboursReachOnlyWhatIsOpened(t *testing.T) {
	for _, mode := range []string{"iptables", "nftables"} {
		t.Run(mode, func(t *testing.T) { testNeighbours(t, mode) })
	}
}

func testNeighbours(t *testing.T, mode string) {
	l := newLAN(t)
	i := startInstance(t, "--proxy-mode="+mode, "--nodeport-addresses="+l.opened+"/32")
	ns := namespace{"default", i}
	ns.apply(t, toolPod("packet", `udp-serve, ":5353", packet`)+
		service("packet", "type: NodePort, selector: {app: packet}, ports: [{port: 53, protocol: UDP, targetPort: 5353}]")+
		service("node", "type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]")+
		service("balanced", "type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 8099, targetPort: 8080}]")+
		textServer("web", "web"))
	ns.must(t, "create", "ingress", "web", "--rule=web.localhost/*=web:80")
	waitForAnswer(t, ns.nodePort(t, "node"), "web")
	var plain, secure *url.URL
	eventually(t, func() error {
		urls, ok := i.status(t)["ingress"].(map[string]any)
		if !ok {
			return errors.New("status has no Ingresses")
		}
		var err, secureErr error
		plain, err = url.Parse(urls["http"].(string))
		secure, secureErr = url.Parse(urls["https"].(string))
		return errors.Join(err, secureErr)
	})
	const nodePort = "{.spec.ports[0].nodePort}"
	udpPort := ns.value(t, "service/packet", nodePort)
	tcpPorts := []string{"8099", ns.value(t, "service/node", nodePort), ns.value(t, "service/balanced", nodePort),
		ns.value(t, "service/balanced", "{.spec.healthCheckNodePort}"), cmp.Or(plain.Port(), "80")}

	t.Run("what was opened answers", func(t *testing.T) {
		for _, p := range tcpPorts {
			eventually(t, func() error { return l.dial(l.opened + ":" + p) })
		}
		eventually(t, func() error { return l.packet(l.opened + ":" + udpPort) })
	})
	t.Run("of all ports nothing else", func(t *testing.T) {
		var want []int
		for _, p := range append(tcpPorts, cmp.Or(secure.Port(), "443")) {
			n, err := strconv.Atoi(p)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, n)
		}
		slices.Sort(want)
		if opened := l.openOf(t, i, l.opened); !slices.Equal(opened, want) {
			t.Errorf("open at %s: %v, want %v", l.opened, opened, want)
		}
		if closed := l.openOf(t, i, l.closed); len(closed) > 0 {
			t.Errorf("open at %s: %v", l.closed, closed)
		}
	})
	t.Run("nothing of the cluster answers", func(t *testing.T) { l.testAddresses(t, ns, udpPort) })
}

// openOf are the open ports but for those of other programs of this machine.
func (l lan) openOf(t *testing.T, i *instance, address string) []int {
	t.Helper()
	daemon := fmt.Sprintf("pid=%v,", i.status(t)["pid"])
	return slices.DeleteFunc(l.open(t, address), func(port int) bool {
		listener, err := output("ss", "-Hltnp", "sport", "=", fmt.Sprint(":", port))
		return err == nil && listener != "" && !strings.Contains(listener, daemon)
	})
}

// testAddresses tries the addresses of the cluster, which this machine routes.
func (l lan) testAddresses(t *testing.T, ns namespace, udpPort string) {
	clusterIP := func(name, namespace string) string {
		return ns.in.run(t, "", "get", "service", name, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}").stdout
	}
	gateway, api := strings.TrimSuffix(ns.in.flag("pod-cidr"), "0/16")+"1", ns.in.flag("api-port")
	pod := ns.must(t, "get", "pod", "-l", "app=web", "-o", "jsonpath={.items[0].status.podIP}")
	for what, address := range map[string]string{
		"ClusterIP":                 clusterIP("web", "default") + ":80",
		"ClusterIP of the API":      clusterIP("kubernetes", "default") + ":443",
		"ClusterIP of DNS":          clusterIP("kube-dns", "kube-system") + ":53",
		"pod":                       pod + ":8080",
		"API on the bridge":         gateway + ":" + api,
		"DNS on the bridge":         gateway + ":53",
		"NodePort on the bridge":    gateway + ":" + ns.value(t, "service/node", "{.spec.ports[0].nodePort}"),
		"API on localhost":          "127.0.0.1:" + api,
		"load balancer":             "127.0.0.1:8099",
		"NodePort on localhost":     "127.0.0.1:" + ns.value(t, "service/node", "{.spec.ports[0].nodePort}"),
		"NodePort at the other one": l.closed + ":" + ns.value(t, "service/node", "{.spec.ports[0].nodePort}"),
	} {
		if err := l.dial(address); err == nil {
			t.Errorf("%s answers at %s", what, address)
		}
	}
	for _, server := range []string{gateway, clusterIP("kube-dns", "kube-system"), l.opened, l.closed} {
		for _, network := range []string{"udp", "tcp"} {
			if err := l.resolve(network, server+":53"); err == nil {
				t.Errorf("DNS answers at %s over %s", server, network)
			}
		}
	}
	for _, address := range []string{l.closed, gateway, "127.0.0.1"} {
		if err := l.packet(address + ":" + udpPort); err == nil {
			t.Errorf("the UDP NodePort answers at %s", address)
		}
	}
}
