package runtime

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podSandbox(pod string, attempt int) string {
	return fmt.Sprintf("k8s_POD_%s_ns_uid-%s_%d", pod, pod, attempt)
}

func TestPodsAreConnectedWithTheBridgeUnderAddressesOfTheirOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for n, name := range []string{"one", "two"} {
			pod := r.pod(name, nil)
			want := docker.BridgePort{Bridge: "br0", Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, 0, byte(2 + n)}), 24), Gateway: r.opts.Network.Gateway}
			if got := r.engine.port(podSandbox(name, 0)); got != want {
				t.Errorf("%s is connected as %+v, want %+v", name, got, want)
			}
			if ip := r.get(pod.Name).Status.PodIP; ip != want.Address.Addr().String() {
				t.Errorf("%s has the address %q in its status", name, ip)
			}
		}
		r.delete("one", 0)
		r.pod("one", nil)
		r.delete("two", 0)
		r.settle()
		r.stop()
		r.start() // which must know what is taken, and go on where the last one was
		r.pod("three", nil)
		if one, three := r.get("one").Status.PodIP, r.get("three").Status.PodIP; one != "10.244.0.4" || three != "10.244.0.5" {
			t.Errorf("after the daemon's restart one has %s, and a new one %s", one, three)
		}
		r.engine.exit(podSandbox("one", 0), 137)
		r.after(2 * externalKillPause)
		if ip := r.get("one").Status.PodIP; ip != "10.244.0.6" || r.engine.port(podSandbox("one", 1)).Address.Addr().String() != ip {
			t.Errorf("the next sandbox has %s: an address is not used again at once", ip)
		}
	})
}

// The rules that isolate a Pod go by its address, and its init containers may talk for long.
func TestTheAddressIsToldBeforeContainersStartWhereThereArePolicies(t *testing.T) {
	for _, policies := range []bool{false, true} {
		inBubble(t, func(t *testing.T, r *rig) {
			if policies {
				policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "deny"}}
				if _, err := r.client.NetworkingV1().NetworkPolicies("ns").Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				r.settle()
			}
			r.engine.mu.Lock()
			r.engine.startHang = 10 * time.Second // first the sandbox's, then the container's
			r.engine.mu.Unlock()
			r.pod("web", nil)
			r.after(15 * time.Second)
			if told := r.get("web").Status.PodIP != ""; told != policies || r.engine.port(podSandbox("web", 0)) == (docker.BridgePort{}) {
				t.Errorf("with policies %v, its address is told before its first container starts: %v", policies, told)
			}
			r.after(15 * time.Second)
			r.wantPhase("web", v1.PodRunning, true)
		})
	}
}

func TestNetworkThatSomebodyRemovesIsMadeAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		before, ensured := r.engine.port(podSandbox("web", 0)), r.engine.networks
		r.engine.loseNetwork()
		r.settle()
		if after := r.engine.port(podSandbox("web", 0)); after != before || r.engine.networks == ensured {
			t.Errorf("connected as %+v, was %+v; made sure of the network %d times, before %d", after, before, r.engine.networks, ensured)
		}
		r.wantState("web", "app", "running 0")
	})
}

func TestAddressesAreGivenInTurnAndNeverTwice(t *testing.T) {
	subnet := netip.MustParsePrefix("10.9.0.0/28") // Docker gives the last four
	sandboxes := map[netip.Addr]bool{netip.MustParseAddr("10.9.0.3"): true}
	a := newAddresses(Options{Network: docker.NetworkSpec{Subnet: subnet, Gateway: subnet.Addr().Next()}, PodRange: subnet},
		func(addr netip.Addr) bool { return sandboxes[addr] }, func() netip.Addr { return netip.Addr{} })
	var given []string
	settle := map[netip.Addr]func(){}
	for range 9 {
		addr, settled, err := a.take()
		if err != nil {
			t.Fatal(err)
		}
		given, settle[addr] = append(given, addr.String()[len("10.9.0."):]), settled
	}
	if got := strings.Join(given, " "); got != "2 4 5 6 7 8 9 10 11" {
		t.Errorf("given: %s", got)
	}
	if addr, _, err := a.take(); err == nil || !strings.Contains(err.Error(), "no address of 10.9.0.0/28 is free outside of 10.9.0.12/30") {
		t.Errorf("an address too many: %s, %v", addr, err)
	}
	four := netip.MustParseAddr("10.9.0.4")
	settle[four]() // no sandbox came of it
	if addr, _, err := a.take(); err != nil || addr != four {
		t.Errorf("the free one: %s, %v", addr, err)
	}
}

func TestAddressesOfANodeAreThoseOfItsRange(t *testing.T) {
	network := docker.NetworkSpec{Subnet: netip.MustParsePrefix("10.9.0.0/16"), Gateway: netip.MustParseAddr("10.9.0.1")}
	for _, test := range []struct{ name, pods, newest, node, want string }{
		{"the first node", "10.9.0.0/29", "", "", "10.9.0.2 10.9.0.3 10.9.0.4 10.9.0.5 10.9.0.6 10.9.0.7 none"},
		{"it was alone before", "10.9.0.0/29", "10.9.44.3", "", "10.9.0.2 10.9.0.3 10.9.0.4 10.9.0.5 10.9.0.6 10.9.0.7 none"},
		{"another one", "10.9.1.0/30", "", "10.9.1.1", "10.9.1.2 10.9.1.3 none"},
		{"it goes on where it was", "10.9.1.0/29", "10.9.1.6", "10.9.1.1", "10.9.1.7 10.9.1.2 10.9.1.3 10.9.1.4 10.9.1.5 10.9.1.6 none"},
	} {
		newest, _ := netip.ParseAddr(test.newest)
		own, _ := netip.ParseAddr(test.node)
		a := newAddresses(Options{Network: network, PodRange: netip.MustParsePrefix(test.pods), HostIP: own},
			func(netip.Addr) bool { return false }, func() netip.Addr { return newest })
		var given []string
		for len(given) == 0 || given[len(given)-1] != "none" {
			addr, _, err := a.take()
			if err != nil {
				given = append(given, "none")
				continue
			}
			given = append(given, addr.String())
		}
		if got := strings.Join(given, " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
