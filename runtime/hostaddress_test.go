package runtime

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/node"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

// machine is what a hostAddress sees of one.
type machine struct {
	mu       sync.Mutex // guards all
	route    netip.Addr
	assigned []netip.Addr
	changed  func()
}

// on puts the address on the machine that m is.
func (m *machine) on(h *hostAddress) {
	h.fixed = false
	h.routed = func() netip.Addr { m.mu.Lock(); defer m.mu.Unlock(); return m.route }
	h.assigned = func() []netip.Addr { m.mu.Lock(); defer m.mu.Unlock(); return m.assigned }
	h.watch = func(ctx context.Context, changed func()) error {
		m.mu.Lock()
		m.changed = changed
		m.mu.Unlock()
		<-ctx.Done()
		return nil
	}
}

// roam gives the machine other addresses, of which the first leads to the world; "" stands for no way there.
func (m *machine) roam(route string, also ...string) {
	m.mu.Lock()
	m.route, m.assigned = netip.Addr{}, nil
	if route != "" {
		m.route = netip.MustParseAddr(route)
		m.assigned = append(m.assigned, m.route)
	}
	for _, a := range also {
		m.assigned = append(m.assigned, netip.MustParseAddr(a))
	}
	changed := m.changed
	m.mu.Unlock()
	if changed != nil {
		changed()
	}
}

func TestTheNodesAddressIsOneThatTheMachineHas(t *testing.T) {
	var m machine
	const gateway = "10.244.0.1"
	h := newHostAddress(Options{HostIP: netip.MustParseAddr("192.0.2.99")})
	h.fallback = netip.MustParseAddr(gateway)
	m.on(h)
	for _, step := range []struct {
		what  string
		route string
		also  []string
		want  string
	}{
		{"at the start", "192.0.2.10", []string{gateway, "172.17.0.1"}, "192.0.2.10"},
		{"a VPN takes the default route", "198.51.100.7", []string{"192.0.2.10", gateway}, "192.0.2.10"},
		{"the first network goes", "198.51.100.7", []string{gateway}, "198.51.100.7"},
		{"the machine is offline", "", []string{"172.17.0.1", gateway}, gateway},
		{"it is online again", "203.0.113.4", []string{"172.17.0.1", gateway}, "203.0.113.4"},
		{"neither network nor bridge", "", []string{"172.17.0.1"}, "172.17.0.1"},
		{"nothing at all", "", nil, "127.0.0.1"},
		{"the bridge is back", "", []string{gateway}, gateway},
	} {
		m.roam(step.route, step.also...)
		before := h.get()
		changed := h.update()
		if got := h.String(); got != step.want || changed != (before != h.get()) {
			t.Errorf("%s: the node's address is %s (changed: %v), want %s", step.what, got, changed, step.want)
		}
	}
}

func TestAnotherNetworkReachesTheNodeAndItsPods(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.stop()
		var m machine
		m.roam("192.0.2.10", "10.244.0.1")
		r.prepare = func(a *Agent) { m.on(a.host) }
		r.start()
		r.pod("host", func(p *v1.Pod) {
			p.Spec.HostNetwork = true
			p.Spec.Containers[0].LivenessProbe = &v1.Probe{InitialDelaySeconds: 3600, ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{}}}
		})
		r.pod("own", nil)
		r.settle()
		own := r.get("own").Status.PodIP
		check := func(want string) {
			t.Helper()
			host, other := r.get("host").Status, r.get("own").Status
			if host.HostIP != want || host.PodIP != want || len(host.PodIPs) != 1 || host.PodIPs[0].IP != want {
				t.Errorf("the pod in the host's network has %s on %s, want %s", host.PodIP, host.HostIP, want)
			}
			if other.HostIP != want || other.PodIP != own {
				t.Errorf("the other pod has %s on %s, want %s on %s", other.PodIP, other.HostIP, own, want)
			}
			for _, d := range r.agent.probes.byID {
				if got := d.target().Host; got != want {
					t.Errorf("the pod in the host's network is probed at %s, want %s", got, want)
				}
			}
			if got := r.node().Status.Addresses[0].Address; got != want {
				t.Errorf("the node has %s, want %s", got, want)
			}
		}
		check("192.0.2.10")
		m.roam("198.51.100.7", "10.244.0.1")
		r.settle()
		check("198.51.100.7")
		m.roam("", "10.244.0.1")
		r.settle()
		check("10.244.0.1")
		m.roam("", "10.244.0.1") // the address is told of before the route is there
		m.mu.Lock()
		m.route, m.assigned = netip.MustParseAddr("203.0.113.4"), append(m.assigned, netip.MustParseAddr("203.0.113.4"))
		m.mu.Unlock()
		r.after(node.CheckPeriod)
		check("203.0.113.4")
	})
}

func TestTheKernelTellsOfAddresses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone can make network namespaces")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, ended := make(chan struct{}, 10), make(chan error, 1)
	ready := make(chan *netlink.Handle, 1)
	go func() {
		goruntime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ended <- err
			return
		}
		inside, err := netlink.NewHandle()
		if err != nil {
			ended <- err
			return
		}
		ready <- inside
		ended <- watchAddresses(ctx, func() { changed <- struct{}{} })
	}()
	var inside *netlink.Handle
	select {
	case inside = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	defer inside.Close()
	lo, err := inside.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IP{192, 0, 2, 1}, Mask: net.CIDRMask(32, 32)}}
	deadline := time.After(10 * time.Second)
	for heard := false; !heard; { // it comes and goes until the watch has begun
		if err := errors.Join(inside.AddrReplace(lo, address), inside.AddrDel(lo, address)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
			heard = true
		case <-deadline:
			t.Fatal("nothing was told")
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the watch ended with %v", err)
	}
}
