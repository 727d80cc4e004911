package netproxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
)

// The tests here run a Proxy against the real kernel, with an API that is a fake.

// deadline is for what must happen some time; what is missed shows as a failure, not as a wait.
const deadline = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func testOptions(instance, bridge string) Options {
	return Options{
		Instance: instance, Bridge: bridge, NodeName: "n1", Log: slog.New(slog.DiscardHandler),
		PodCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"),
	}
}

// daemon is a running Proxy.
type daemon struct {
	proxy  *Proxy
	client kubernetes.Interface
	events *record.FakeRecorder
	stop   func()
}

// kernelOf is what a mode has here, without the trial that Find makes.
func kernelOf(t testing.TB, mode Mode, opts Options) *Kernel {
	t.Helper()
	k := &Kernel{mode: mode, tools: map[family]*kernelTools{}}
	for _, f := range opts.families() {
		var err error
		if k.tools[f], err = findKernelTools(mode, f, opts.Instance); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

// start runs a Proxy until the rules stand; stop, or the test's end, ends it and leaves the rules, as SIGKILL does.
func (l *lab) start(opts Options, client kubernetes.Interface) *daemon {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	events := record.NewFakeRecorder(100)
	opts.Recorder = events
	if opts.Kernel == nil {
		opts.Kernel = kernelOf(l.t, l.mode, opts)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	p, err := New(factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices(), factory.Core().V1().Pods(), opts)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := p.EnforcePolicies(factory.Networking().V1().NetworkPolicies(), factory.Core().V1().Namespaces(), factory.Core().V1().Pods()); err != nil {
		l.t.Fatal(err)
	}
	if err := p.FollowNodes(factory.Core().V1().Nodes()); err != nil {
		l.t.Fatal(err)
	}
	p.verifyInterval, p.pollInterval = 100*time.Millisecond, 500*time.Millisecond
	factory.Start(ctx.Done())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx); err != nil {
			l.t.Error(err)
		}
	})
	stop := func() { cancel(); running.Wait(); factory.Shutdown() }
	l.t.Cleanup(stop)
	select {
	case <-p.Ready():
	case <-time.After(deadline):
		l.t.Fatal("the rules never stood")
	}
	return &daemon{p, client, events, stop}
}

func world() *fake.Clientset {
	client := fake.NewClientset()
	services, slices := worldObjects()
	for _, s := range services {
		_ = client.Tracker().Add(s)
	}
	for _, s := range slices {
		_ = client.Tracker().Add(s)
	}
	for _, n := range worldNodes(ipv4) {
		_ = client.Tracker().Add(n.object())
	}
	return client
}

func (d *daemon) put(t *testing.T, s *discoveryv1.EndpointSlice) {
	t.Helper()
	if _, err := d.client.DiscoveryV1().EndpointSlices(s.Namespace).Update(context.Background(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (d *daemon) create(t *testing.T, s *corev1.Service, e *discoveryv1.EndpointSlice) {
	t.Helper()
	if _, err := d.client.CoreV1().Services(s.Namespace).Create(context.Background(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.client.DiscoveryV1().EndpointSlices(e.Namespace).Create(context.Background(), e, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) servePods() {
	l.serve(l.text(podA), 8080)
	l.serve(l.text(podB), 8080)
}

func TestChangesReachTheKernel(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		d := l.start(testOptions("test", testBridge), world())
		if got := l.ask("host", "tcp://127.0.0.1:30081"); got != "10.244.0.2:8080<-10.244.0.1" {
			t.Fatalf("NodePort at the start: %s", got)
		}
		d.put(t, slice("self", ports("8080/TCP"), podB))
		eventually(t, "the new endpoint answers", func() bool {
			return l.ask("host", "tcp://127.0.0.1:30081") == "10.244.0.3:8080<-10.244.0.1"
		})
		d.put(t, slice("self", ports("8080/TCP")))
		eventually(t, "without endpoints it refuses", func() bool { return l.ask("host", "tcp://127.0.0.1:30081") == refused })
		d.create(t, svc("late", "10.96.0.99", "80/TCP:30999"), slice("late", ports("8080/TCP"), podA))
		eventually(t, "a new Service answers", func() bool {
			return l.ask(podB, "tcp://10.96.0.99:80") == "10.244.0.2:8080<-10.244.0.3"
		})
		if err := d.client.CoreV1().Services("default").Delete(t.Context(), "late", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a deleted Service refuses", func() bool { return l.ask(podB, "tcp://10.96.0.99:80") == refused })
	})
}

func TestAPodThatComesLaterReachesItself(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		l.start(testOptions("test", testBridge), world())
		l.ip("link set va0 nomaster")
		l.ip("link set va0 type bridge_slave hairpin off || true")
		l.ip("link set va0 master %s", testBridge)
		eventually(t, "a pod that was attached later reaches itself", func() bool {
			return l.ask(podA, "tcp://10.96.0.3:80") == "10.244.0.2:8080<-10.244.0.1"
		})
	})
}

func TestANodePortThatAProcessHoldsIsReported(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		taken, err := net.Listen("tcp", ":30081")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := taken.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(c, "the process")
				c.Close()
			}
		}()
		d := l.start(testOptions("test", testBridge), world())
		event := l.event(d)
		name, _ := os.ReadFile("/proc/self/comm")
		for _, part := range []string{"Warning NodePortUnavailable", "30081/TCP", strings.TrimSpace(string(name)), fmt.Sprintf("pid %d", os.Getpid())} {
			if !strings.Contains(event, part) {
				t.Errorf("event %q does not say %q", event, part)
			}
		}
		for to, want := range map[string]string{
			"tcp://127.0.0.1:30081": "the process",
			"tcp://10.96.0.3:80":    "10.244.0.2:8080<-10.244.0.1",
			"tcp://127.0.0.1:30084": "10.244.0.2:8080<-10.244.0.1",
		} {
			if got := l.ask("host", to); got != want {
				t.Errorf("%s: got %s, want %s", to, got, want)
			}
		}
		taken.Close()
		eventually(t, "the port is served once it is free", func() bool {
			return l.ask("host", "tcp://127.0.0.1:30081") == "10.244.0.2:8080<-10.244.0.1"
		})
		if event := l.event(d); !strings.Contains(event, "Normal NodePortServed") {
			t.Errorf("second event: %s", event)
		}
		if late, err := net.Listen("tcp", ":30081"); err == nil {
			late.Close()
			t.Error("a process could take a NodePort that is served")
		}
		if late, err := net.ListenPacket("udp4", "127.0.0.1:30053"); err == nil {
			late.Close()
			t.Error("a process could take a UDP NodePort that is served")
		}
	})
}

func (l *lab) event(d *daemon) string {
	l.t.Helper()
	select {
	case e := <-d.events.Events:
		return e
	case <-time.After(deadline):
		l.t.Fatal("no event")
		return ""
	}
}

func TestUDPClientsThatNeverPauseFollow(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		d := l.start(testOptions("test", testBridge), world())
		d.put(t, slice("dns", ports("dns=8080/UDP"), podA))
		for _, to := range []string{"10.96.0.10:53", "127.0.0.1:30053"} {
			var c net.Conn
			from := map[bool]string{true: podB, false: "host"}[strings.HasPrefix(to, "10.")]
			l.in(from, func() (err error) { c, err = net.Dial("udp4", to); return })
			t.Cleanup(func() { c.Close() })
			answers := func(want string) func() bool {
				return func() bool {
					_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
					buffer := make([]byte, 64)
					if _, err := c.Write([]byte("?")); err != nil {
						return want == refused
					}
					n, err := c.Read(buffer)
					return strings.HasPrefix(string(buffer[:n]), want) || err != nil && want == refused
				}
			}
			eventually(t, to+": the first endpoint answers", answers(podA))
			d.put(t, slice("dns", ports("dns=8080/UDP"), podB))
			eventually(t, to+": the next endpoint answers the same socket", answers(podB))
			d.put(t, slice("dns", ports("dns=8080/UDP")))
			eventually(t, to+": nobody answers", answers(refused))
			d.put(t, slice("dns", ports("dns=8080/UDP"), podA))
			eventually(t, to+": an endpoint is back", answers(podA))
		}
	})
}

// A client of a pod that vanished, as its machine's cable would be cut, would wait for a quarter of an hour.
func TestConnectionsToLostEndpointsAreReset(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		d := l.start(testOptions("test", testBridge), world())
		d.put(t, slice("self", ports("7777/TCP"), podA))
		accepted := make(chan net.Conn, 2)
		l.in(podA, func() error {
			listener, err := net.Listen("tcp4", podA+":7777")
			if err != nil {
				return err
			}
			t.Cleanup(func() { listener.Close() })
			go func() {
				for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
					accepted <- c
				}
			}()
			return nil
		})
		var clients []net.Conn
		for from, to := range map[string]string{podB: "10.96.0.3:80", "host": "127.0.0.1:30081"} {
			eventually(t, to+" is served", func() bool {
				var c net.Conn
				var err error
				l.in(from, func() error { c, err = net.Dial("tcp4", to); return nil })
				if err == nil {
					clients = append(clients, c)
					t.Cleanup(func() { c.Close() })
				}
				return err == nil
			})
			server := <-accepted
			t.Cleanup(func() { server.Close() })
		}
		write := func(c net.Conn) error {
			_, err := c.Write([]byte("?"))
			return err
		}
		leaving := slice("self", ports("7777/TCP"), podA)
		condition(0, false, false, true)(leaving)
		d.put(t, leaving) // it may still serve what it has
		for _, c := range clients {
			for range 3 {
				if err := write(c); err != nil {
					t.Fatalf("%s: a connection of an endpoint that is on its way out: %v", c.RemoteAddr(), err)
				}
			}
		}
		l.ip("link set va0 down")
		d.put(t, slice("self", ports("7777/TCP")))
		for _, c := range clients {
			eventually(t, c.RemoteAddr().String()+": the connection is reset", func() bool { return write(c) != nil })
		}
	})
}

func TestAClientWithAffinityKeepsItsEndpoint(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		d := l.start(testOptions("test", testBridge), world())
		first := l.ask(podB, "tcp://10.96.0.5:80")
		for range 30 {
			if got := l.ask(podB, "tcp://10.96.0.5:80"); got != first {
				t.Fatalf("was %s, now %s", first, got)
			}
		}
		d.stop()
		d = l.start(testOptions("test", testBridge), d.client)
		for range 10 {
			if got := l.ask(podB, "tcp://10.96.0.5:80"); got != first {
				t.Fatalf("was %s, and after a restart of the daemon %s", first, got)
			}
		}
		other := map[bool]string{true: podB, false: podA}[strings.HasPrefix(first, podA)]
		d.put(t, slice("sticky", ports("8080/TCP"), other))
		eventually(t, "the other endpoint answers when the first is gone", func() bool {
			return strings.HasPrefix(l.ask(podB, "tcp://10.96.0.5:80"), other)
		})
	})
}

func TestConnectionsSpreadEvenly(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		l.start(testOptions("test", testBridge), world())
		const n = 400
		atA := 0
		for range n {
			if strings.HasPrefix(l.ask("host", "tcp://127.0.0.1:30080"), podA) {
				atA++
			}
		}
		if atA < n*3/8 || atA > n*5/8 { // five standard deviations
			t.Errorf("%d of %d went to one of two endpoints", atA, n)
		}
	})
}

func TestPodsCannotReachWhatListensOnLocalhost(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		l.serve("127.0.0.1", 8081)
		l.start(testOptions("test", testBridge), world())
		// A pod that is root in its namespace can send to 127.0.0.1 on the wire.
		l.sh("ip netns exec a sysctl -qw net.ipv4.conf.eth0.route_localnet=1")
		l.ip("-n a route del local 127.0.0.0/8 dev lo table local")
		l.ip("-n a route del local 127.0.0.1 dev lo table local")
		l.ip("-n a route add 127.0.0.1 via %s dev eth0 src %s", gateway, podA)
		if got := l.ask("host", "tcp://127.0.0.1:8081"); got != "127.0.0.1:8081<-127.0.0.1" {
			t.Fatalf("this machine itself: %s", got)
		}
		if got := l.ask(podA, "tcp://127.0.0.1:8081"); strings.Contains(got, "<-") {
			t.Errorf("a pod reached this machine's localhost: %s", got)
		}
	})
}

func TestTheFirstRefusalOfUDPIsNotHeldBack(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.sh("sysctl -qw net.ipv4.icmp_ratelimit=1000 net.ipv4.conf.all.send_redirects=1 net.ipv4.conf." + testBridge + ".send_redirects=1")
		l.start(testOptions("test", testBridge), world())
		if got := l.ask(podA, "udp://10.96.0.4:80"); got != refused {
			t.Errorf("got %s", got)
		}
	})
}

func TestARouteOfAnotherServiceCIDRIsReplaced(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		opts := testOptions("test", testBridge)
		opts.ServiceCIDR = netip.MustParsePrefix("10.97.0.0/16")
		l.start(opts, world()).stop()
		l.start(testOptions("test", testBridge), world()).stop()
		if got := l.sh("ip -o route show proto 75"); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "10.96.0.0/16 dev "+testBridge+" ") {
			t.Errorf("routes: %s", got)
		}
		opts.ServiceCIDR = netip.Prefix{}
		if err := Cleanup(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		if got := l.sh("ip route show proto 75"); got != "" {
			t.Errorf("after the cleanup: %s", got)
		}
	})
}

func TestSomebodyElsesRouteIsNotOverwritten(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.ip("route add 10.96.0.0/16 via %s dev lan0", strangerLAN)
		before := l.sh("ip route")
		if _, err := l.host().ensure(); err == nil || !strings.Contains(err.Error(), "10.96.0.0/16") {
			t.Errorf("got error %v", err)
		}
		if after := l.sh("ip route"); after != before {
			t.Errorf("routes before:\n%s\nand after:\n%s", before, after)
		}
	})
}

func TestFindLeavesNothing(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		find := func(mode Mode, log io.Writer) (Mode, error) {
			k, err := Find(t.Context(), "test", mode, true, slog.New(slog.NewTextHandler(log, nil)))
			if err != nil {
				return "", err
			}
			return k.mode, nil
		}
		before := l.rules()
		if got, err := find(l.mode, io.Discard); err != nil || got != l.mode {
			t.Fatal(got, err)
		}
		if after := l.rules(); after != before {
			t.Errorf("rules before:\n%s\nand after:\n%s", before, after)
		}
		if got, err := find(ModeDefault, io.Discard); err != nil || got != ModeNFTables {
			t.Errorf("where both work it chooses %q, %v", got, err)
		}
		l.start(testOptions("test", testBridge), world()).stop()
		before = l.rules()
		if got, err := find(l.mode, io.Discard); err != nil || got != l.mode {
			t.Errorf("beside rules of a daemon before: %q, %v", got, err)
		}
		if after := l.rules(); after != before {
			t.Errorf("rules before:\n%s\nand after:\n%s", before, after)
		}
		t.Setenv("PATH", t.TempDir()) // iptables is found without it, nft is not
		var said strings.Builder
		if got, err := find(ModeDefault, &said); err != nil || got != ModeIPTables || !strings.Contains(said.String(), "package nftables") {
			t.Errorf("without nft it chooses %q, %v, and says %q", got, err, said.String())
		}
		if _, err := find(ModeNFTables, io.Discard); err == nil || !strings.Contains(err.Error(), "nftables") {
			t.Errorf("without nft, asked for it: %v", err)
		}
	})
}
