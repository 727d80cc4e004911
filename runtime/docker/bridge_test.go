package docker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// port is a place on the bridge of the test's own network.
func (s NetworkSpec) port(last byte) BridgePort {
	b := s.Subnet.Addr().As4()
	b[3] += last
	return BridgePort{Bridge: s.Bridge, Address: netip.PrefixFrom(netip.AddrFrom4(b), s.Subnet.Bits()), Gateway: s.Gateway}
}

// reachable tells whether this machine reaches an address: nobody listens there, and its
// kernel says so.
func reachable(addr netip.Addr) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(addr.String(), "9"), 2*time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

func TestContainerIsConnectedWithABridge(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	network := d.network(9)
	if err := d.EnsureNetwork(ctx, network); err != nil {
		t.Fatal(err)
	}
	spec := d.spec("member")
	spec.Sysctls = map[string]string{"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.default.disable_ipv6": "0"} // as newer engines leave it
	port, id := network.port(5), d.run(spec)
	c := d.inspect(id)
	connect := func(when string) netlink.Link {
		t.Helper()
		if err := d.ConnectBridge(c, port); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		outside, err := netlink.LinkByName(outsideDevice(id))
		if err != nil || !reachable(port.Address.Addr()) {
			t.Fatalf("%s: it cannot be reached; its device: %v", when, err)
		}
		return outside
	}
	first := connect("at first")
	if again := connect("again"); again.Attrs().Index != first.Attrs().Index {
		t.Error("a device that was there was made anew")
	}

	for _, undo := range []func(netlink.Link) error{netlink.LinkSetNoMaster, netlink.LinkSetDown} {
		if err := undo(first); err != nil {
			t.Fatal(err)
		}
	}
	second := connect("after an attempt that was cut off")
	if second.Attrs().Index == first.Attrs().Index {
		t.Error("what was half made was used")
	}

	if err := d.RemoveNetwork(ctx, network.Name); err != nil {
		t.Fatal(err)
	}
	if err := d.ConnectBridge(c, port); err == nil || !strings.Contains(err.Error(), "to "+network.Bridge) {
		t.Errorf("without the bridge: %v", err)
	}
	if err := d.EnsureNetwork(ctx, network); err != nil {
		t.Fatal(err)
	}
	if third := connect("after the bridge was made anew"); third.Attrs().Index != second.Attrs().Index {
		t.Error("with the bridge a container lost its device")
	}

	if addrs, routes := inside(t, c); addrs != "127.0.0.1/8 "+port.Address.String() || routes != network.Gateway.String() {
		t.Errorf("inside it has the addresses %s and the route by %s", addrs, routes)
	}
	if err := d.Remove(ctx, id); err != nil {
		t.Fatal(err)
	}
	within(t, "its device to go", func() bool { _, err := net.InterfaceByName(outsideDevice(id)); return err != nil })
	if err := d.ConnectBridge(c, port); err == nil {
		t.Error("a container that is gone was connected")
	}
}

// inside returns the addresses, IPv6 ones of the loopback device aside, and the default
// route's gateway.
func inside(t *testing.T, c Container) (addrs, gateway string) {
	t.Helper()
	ns, err := netns.GetFromPid(c.PID)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	all, err := handle.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, a := range all {
		if !a.IP.Equal(net.IPv6loopback) {
			found = append(found, a.IPNet.String())
		}
	}
	routes, err := handle.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_DST)
	if err != nil || len(routes) != 1 {
		t.Fatalf("default routes: %v, %v", routes, err)
	}
	return strings.Join(found, " "), routes[0].Gw.String()
}

func TestWhoWatchesANetworkHearsOfItsEnd(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	if err := d.EnsureNetwork(ctx, d.network(10)); err != nil {
		t.Fatal(err)
	}
	news := make(chan struct{}, 9)
	ended := make(chan struct{})
	watching, stop := context.WithCancel(ctx)
	go func() { d.WatchNetwork(watching, d.unique, func() { news <- struct{}{} }); close(ended) }()
	<-news // the stream is open
	if err := d.RemoveNetwork(ctx, d.unique); err != nil {
		t.Fatal(err)
	}
	select {
	case <-news:
	case <-time.After(patience):
		t.Error("nobody told")
	}
	stop()
	<-ended
}

func TestANetworkThatIsMadeAgainIsReachedAtOnce(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	network := d.network(10)
	if err := d.EnsureNetwork(ctx, network); err != nil {
		t.Fatal(err)
	}
	id := d.run(d.spec("member"))
	c, port := d.inspect(id), network.port(5)
	if err := d.ConnectBridge(c, port); err != nil {
		t.Fatal(err)
	}
	gateway := func() error { return d.dialFrom(c, network.Gateway) }
	if err := gateway(); err != nil {
		t.Fatal(err) // now it remembers the gateway's hardware address
	}
	if err := d.RemoveNetwork(ctx, network.Name); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.EnsureNetwork(ctx, network), d.ConnectBridge(c, port)); err != nil {
		t.Fatal(err)
	}
	if err := gateway(); err != nil {
		t.Errorf("after the network was made again: %v", err)
	}
}

// dialFrom dials an address from a container's network namespace, where nothing listens: refused is good.
func (d *dockerTest) dialFrom(c Container, addr netip.Addr) error {
	result := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		ns, err := networkNamespace(c)
		if err == nil {
			defer ns.Close()
			err = netns.Set(netns.NsHandle(ns.Fd()))
		}
		if err != nil {
			result <- err
			return
		}
		dialer := net.Dialer{Timeout: 2 * time.Second}
		conn, err := dialer.DialContext(d.t.Context(), "tcp4", net.JoinHostPort(addr.String(), "9"))
		if err == nil {
			conn.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			err = nil
		}
		result <- err
	}()
	return <-result
}
