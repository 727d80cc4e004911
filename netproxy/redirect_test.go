package netproxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// redirectedTo is where the tests of redirections have somebody listen.
const redirectedTo = 6443

// redirection is one of a Service's port to this machine, by IPv4 and IPv6.
func redirection(service, port string) Redirection {
	r := Redirection{Of: ServicePort{types.NamespacedName{Namespace: "default", Name: service}, port}}
	for _, f := range families() {
		r.To = append(r.To, netip.AddrPortFrom(netip.MustParseAddr(f.text(gateway)), redirectedTo))
	}
	return r
}

// redirectedServices are those of the world, with their ports, that the tests redirect.
var redirectedServices = map[string]string{"web": "http", "self": "", "none": "tcp", "sticky": "", "local": "", "external": "", "balanced": "", "ranged": "", "unanswered": ""}

// Where packets to them go.
const toProcess, fromHost = "10.244.0.1:6443", "10.244.0.1:6443<-host"

var redirectedPaths = []path{
	{says: "pod to ClusterIP", from: podA, to: "tcp://10.96.0.2:80", want: toProcess + "<-" + podA},
	{says: "pod to its own Service", from: podA, to: "tcp://10.96.0.3:80", want: toProcess + "<-" + podA},
	{says: "pod to a Service without endpoints", from: podA, to: "tcp://10.96.0.4:80", want: toProcess + "<-" + podA},
	{says: "pod to a Service with affinity", from: podA, to: "tcp://10.96.0.5:80", want: toProcess + "<-" + podA},
	{says: "pod to NodePort", from: podB, to: "tcp://10.244.0.1:30080", want: toProcess + "<-" + podB},
	{says: "pod to externalIP", from: podB, to: "tcp://203.0.113.7:80", want: toProcess + "<-" + podB},
	{says: "pod to load balancer", from: podB, to: "tcp://198.51.100.1:8000", want: toProcess + "<-" + podB},
	{says: "host to ClusterIP", from: "host", to: "tcp://10.96.0.2:80", want: fromHost},
	{says: "host to NodePort on localhost", from: "host", to: "tcp://127.0.0.1:30080", want: fromHost},
	{says: "host to NodePort that keeps the client's address", from: "host", to: "tcp://127.0.0.1:30084", want: fromHost},
	{says: "host to load balancer", from: "host", to: "tcp://127.0.0.1:8000", want: fromHost},
	{says: "host to load balancer that nobody answered at", from: "host", to: "tcp://127.0.0.1:8003", want: fromHost},
	{says: "LAN to NodePort that is open", from: strangerLAN, to: "tcp://198.51.100.1:30081", opens: "198.51.100.0/24", want: toProcess + "<-" + strangerLAN},
	{says: "LAN to load balancer of others", from: strangerLAN, to: "tcp://198.51.100.1:8001", opens: "198.51.100.0/24", want: refused},
	{says: "LAN to NodePort", from: strangerLAN, to: "tcp://198.51.100.1:30080", want: untouched},
	{says: "another port of the Service", from: "host", to: "tcp://10.96.0.2:81", want: "10.244.0.2:9090<-10.244.0.1 10.244.0.3:9090<-10.244.0.1"},
	{says: "another protocol of the port", from: podA, to: "udp://10.96.0.4:80", want: refused},
	{says: "another Service", from: podB, to: "udp://10.96.0.10:53", want: "10.244.0.2:8080<-10.244.0.3 10.244.0.3:8080<-10.244.0.1"},
}

func TestEveryRedirectedPathIsTraced(t *testing.T) {
	for _, mode := range modes() {
		for _, f := range families() {
			ports := f.worldPorts()
			for name, port := range redirectedServices {
				r := redirection(name, port)
				for i := range ports {
					if ports[i].Service == r.Of.NamespacedName {
						r.redirect(ports[i : i+1])
					}
				}
			}
			for _, p := range f.translate(redirectedPaths) {
				t.Run(string(mode)+"/"+f.ip()+"/"+p.says, func(t *testing.T) {
					w := newWalker(t, mode, desiredOf(p.settings(f), ports, f.worldHosts()))
					got := trace(w, p.from, p.to)
					if strings.HasSuffix(p.want, "<-host") { // from whichever of its own addresses
						got, _, _ = strings.Cut(got, "<-")
						got += "<-host"
					}
					if got != p.want {
						t.Errorf("%s to %s:\n got %s\nwant %s", p.from, p.to, got, p.want)
					}
				})
			}
		}
	}
}

func TestRedirectionsComeAndGo(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		client := world()
		service, eps := dualService()
		_ = client.Tracker().Add(service)
		for _, e := range eps {
			_ = client.Tracker().Add(e)
		}
		l.servePods()
		l.serve(sixth(podA), 8080)
		for _, f := range families() {
			l.serve(f.text(gateway), redirectedTo)
		}
		d := l.start(dualOptions(), client)
		endpoints := make(chan []netip.AddrPort, 100)
		for _, name := range []string{"self", "both"} {
			r := redirection(name, "")
			if name == "both" {
				r.Endpoints = func(e []netip.AddrPort) { endpoints <- e }
			}
			if err := d.proxy.Redirect(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := <-endpoints, []netip.AddrPort{netip.MustParseAddrPort(podA + ":8080"), netip.MustParseAddrPort("[" + sixth(podA) + "]:8080")}; !slices.Equal(got, want) {
			t.Errorf("the Service itself has %v, want %v", got, want)
		}
		answered := func(from, to, by string) {
			t.Helper()
			if got, _, _ := strings.Cut(l.ask(from, to), "<-"); got != by {
				t.Errorf("%s to %s: answered by %s, want %s", from, to, got, by)
			}
		}
		all := func(four, six string) {
			t.Helper()
			answered(podB, "tcp://10.96.0.3:80", four)
			answered("host", "tcp://127.0.0.1:30081", four)
			answered("host", "tcp://10.96.0.20:80", four)
			answered("host", "tcp://[fd00:96::14]:80", six)
			answered("host", "tcp://[::1]:30090", six)
		}
		all("10.244.0.1:6443", "[fd00:244::1]:6443")
		answered("host", "tcp://10.96.0.2:81", refused) // nobody listens at the pods' 9090
		for name := range map[string]bool{"self": true, "both": true} {
			if err := d.proxy.Restore(t.Context(), redirection(name, "").Of); err != nil {
				t.Fatal(err)
			}
		}
		all("10.244.0.2:8080", "[fd00:244::2]:8080")

		// Who stops waiting has not redirected anything.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.proxy.Redirect(ctx, redirection("self", "")); err != nil {
			if err := d.proxy.Restore(t.Context(), redirection("sticky", "").Of); err != nil { // a pass later
				t.Fatal(err)
			}
			all("10.244.0.2:8080", "[fd00:244::2]:8080")
		}
	})
}

// A connection goes on where it is, when its Service is redirected and when that ends.
func TestConnectionsOutliveRedirections(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		d := l.start(testOptions("test", testBridge), world())
		echo := func(at string) func() error {
			return func() error {
				listener, err := net.Listen("tcp4", at)
				if err != nil {
					return err
				}
				t.Cleanup(func() { listener.Close() })
				go func() {
					for c, err := listener.Accept(); err == nil; c, err = listener.Accept() {
						go func() {
							defer c.Close()
							for buffer := make([]byte, 1); ; {
								if _, err := c.Read(buffer); err != nil {
									return
								}
								_, _ = c.Write([]byte(at))
							}
						}()
					}
				}()
				return nil
			}
		}
		pod, process := podA+":8080", gateway+":"+strconv.Itoa(redirectedTo)
		l.in(podA, echo(pod))
		l.in("host", echo(process))
		connect := func() (c net.Conn) {
			l.in(podB, func() (err error) { c, err = net.DialTimeout("tcp4", "10.96.0.3:80", deadline); return err })
			t.Cleanup(func() { c.Close() })
			return c
		}
		says := func(c net.Conn, want string) {
			t.Helper()
			_ = c.SetDeadline(time.Now().Add(deadline))
			buffer := make([]byte, 64)
			_, err := c.Write([]byte("?"))
			n, readErr := c.Read(buffer)
			if got := string(buffer[:n]); err != nil || readErr != nil || got != want {
				t.Errorf("got %q, %v, %v, want %s", got, err, readErr, want)
			}
		}
		before := connect()
		says(before, pod)
		if err := d.proxy.Redirect(t.Context(), redirection("self", "")); err != nil {
			t.Fatal(err)
		}
		during := connect()
		says(during, process)
		says(before, pod)
		if err := d.proxy.Restore(t.Context(), redirection("self", "").Of); err != nil {
			t.Fatal(err)
		}
		says(connect(), pod)
		says(during, process)
		says(before, pod)
	})
}

func TestOnlyThePortIsRedirected(t *testing.T) {
	p, r, factory := observing(t)
	s, e := svc("a", "10.96.1.1", "one=80/TCP", "two=81/TCP", "three=80/UDP"), slice("a", ports("one=8080/TCP", "two=8081/TCP", "three=8080/UDP"), podA)
	_ = factory.Core().V1().Services().Informer().GetStore().Add(s)
	_ = factory.Discovery().V1().EndpointSlices().Informer().GetStore().Add(e)
	name := types.NamespacedName{Namespace: "default", Name: "a"}
	p.pending.addService(name)
	p.redirections.all = map[ServicePort]Redirection{{name, "one"}: redirection("a", "one"), {name, "three"}: redirection("a", "three")}
	if err := p.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, sp := range r.want.services[name] {
		want := netip.AddrPortFrom(netip.MustParseAddr(podA), map[string]uint16{"two": 8081, "three": 8080}[sp.PortName])
		if sp.PortName == "one" && sp.Protocol == corev1.ProtocolTCP {
			want = netip.AddrPortFrom(netip.MustParseAddr(gateway), redirectedTo)
		}
		if !slices.Equal(sp.Internal, []netip.AddrPort{want}) || !slices.Equal(sp.External, sp.Internal) {
			t.Errorf("%s leads to %v and %v, want %v", &sp, sp.Internal, sp.External, want)
		}
	}
}
