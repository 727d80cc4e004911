package netproxy

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// The tests here have others interfere: with the rules, by killing the daemon, and by another instance.

func TestWhatOthersBreakIsRepaired(t *testing.T) {
	table := "ip " + nftTable("test")
	for name, damage := range map[string]struct {
		mode Mode // ModeDefault: each
		do   string
	}{
		"flush of nat":           {"", "iptables -t nat -F"},
		"flush of everything":    {"", "iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X"},
		"flush by nft":           {"", "nft flush ruleset"},
		"one rule removed":       {ModeIPTables, "iptables -t nat -D " + ChainPrefix("test") + "SERVICES 1"},
		"one chain flushed":      {ModeIPTables, "iptables -t nat -F " + ChainPrefix("test") + "NODEPORTS"},
		"a jump removed":         {ModeIPTables, "iptables -t nat -D OUTPUT 1"},
		"another jump removed":   {"", "iptables -D FORWARD 1"},
		"the table removed":      {ModeNFTables, "nft delete table " + table},
		"the table flushed":      {ModeNFTables, "nft flush table " + table},
		"a chain flushed":        {ModeNFTables, "nft flush chain " + table + " " + nftServices},
		"a chain added":          {ModeNFTables, "nft add chain " + table + " mine; nft add rule " + table + " mine return"},
		"a map flushed":          {ModeNFTables, "nft flush map " + table + " " + nftClusterIPs},
		"an element removed":     {ModeNFTables, "nft delete element " + table + " " + nftNodePorts + " '{ tcp . 30081 }'"},
		"an element redirected":  {ModeNFTables, "nft delete element " + table + " " + nftNodePorts + " '{ tcp . 30081 }'; nft add element " + table + " " + nftNodePorts + " '{ tcp . 30081 : drop }'"},
		"route removed":          {"", "ip route del 10.96.0.0/16"},
		"Docker moves to front":  {"", "iptables -I FORWARD -i " + testBridge + " -o " + testBridge + " -j ACCEPT"},
		"Docker makes a network": {"", "iptables -N DOCKER-ISOLATION-STAGE-1; iptables -I FORWARD -j DOCKER-ISOLATION-STAGE-1"},
		"bridge down and up":     {"", "ip link set " + testBridge + " down; ip link set " + testBridge + " up; ip -n a route replace default via " + gateway},
		"localhost routing lost": {"", "sysctl -qw net.ipv4.conf." + testBridge + ".route_localnet=0; ip link set " + testBridge + " alias poked"},
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, func(t *testing.T, l *lab) {
				if damage.mode != ModeDefault && damage.mode != l.mode {
					t.Skip("not of this mode")
				}
				l.servePods()
				l.start(testOptions("test", testBridge), world())
				l.settle()
				sane := l.sane()
				if !sane() {
					t.Fatal("not in order before the damage")
				}
				if strings.HasPrefix(damage.do, "nft") && l.b.legacy {
					t.Skip("iptables in legacy mode does not show in nft")
				}
				l.sh(damage.do)
				eventually(t, "all is as it was", sane)
			})
		})
	}
}

// settle waits until nothing changes any more: the proxy looked at its own first rules.
func (l *lab) settle() {
	last := uint32(0)
	eventually(l.t.(*testing.T), "quiet", func() bool {
		now, err := rulesGeneration()
		same := err != nil || now == last
		last = now
		return same
	})
}

// sane tells whether rules, jumps, route and settings are those of the world.
func (l *lab) sane() func() bool {
	return func() bool {
		whole, err := l.applied().verify(l.t.Context())
		return err == nil && whole &&
			l.ask("host", "tcp://127.0.0.1:30081") == "10.244.0.2:8080<-10.244.0.1" &&
			l.ask("host", "tcp://10.96.0.3:80") == "10.244.0.2:8080<-10.244.0.1" &&
			l.ask(podA, "tcp://10.96.0.4:80") == refused
	}
}

// applied is a backend that believes to have applied the world.
func (l *lab) applied() backend {
	l.t.Helper()
	want := desiredOf(testSettings(), worldPorts(), nil)
	switch b := l.backend().(type) {
	case *iptablesBackend:
		b.applier.applied = render(want.settings, want.ports(), nil)
		return b
	case *nftBackend:
		accepts := chains{}
		want.settings.addAccepts(accepts)
		b.passes.applied = ruleset{"filter": accepts, "nat": nil}
		b.known = true
		if err := b.rewrite(l.t.Context(), b.nft.NewTransaction(), want); err != nil {
			l.t.Fatal(err)
		}
		return b
	}
	return nil
}

func TestABridgeThatComesLateIsServed(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		l.ip("link set %s name elsewhere0", testBridge+" down")
		opts, client := testOptions("test", testBridge), world()
		go func() {
			time.Sleep(50 * time.Millisecond) // so that the first pass fails; nothing depends on it
			l.ip("link set elsewhere0 name %s", testBridge)
			l.ip("link set %s up", testBridge)
		}()
		l.start(opts, client)
		eventually(t, "the bridge is served", func() bool {
			return l.ask("host", "tcp://10.96.0.3:80") == "10.244.0.2:8080<-10.244.0.1"
		})
	})
}

func TestAKilledDaemonsRulesGoOnAndAreReplacedWithoutAGap(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		client := world()
		d := l.start(testOptions("test", testBridge), client)
		d.create(t, svc("gone", "10.96.0.98", "80/TCP"), slice("gone", ports("8080/TCP"), podA))
		eventually(t, "the Service that will be gone answers", func() bool { return l.ask("host", "tcp://10.96.0.98:80") != refused })
		d.stop()
		if got := l.ask("host", "tcp://127.0.0.1:30081"); got != "10.244.0.2:8080<-10.244.0.1" {
			t.Errorf("after the daemon's death: %s", got)
		}
		if err := client.CoreV1().Services("default").Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		var failures []string
		var asking sync.WaitGroup
		asking.Go(func() {
			// Not as fast as it goes: the Pods hold the ports of ended connections for a minute, and who is given one of them by
			// masquerading has to ask twice. After 10,000 connections that happens.
			for pace := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-pace.C {
				for _, to := range []string{"tcp://127.0.0.1:30080", "tcp://10.96.0.2:80"} {
					if got := askHere(to); !strings.HasSuffix(got, ":8080<-10.244.0.1") {
						failures = append(failures, to+": "+got)
					}
				}
			}
		})
		for range 5 {
			d = l.start(testOptions("test", testBridge), client)
			d.stop()
		}
		l.start(testOptions("test", testBridge), client)
		cancel()
		asking.Wait()
		if len(failures) > 0 {
			t.Errorf("%d failures while daemons came and went, the first: %s", len(failures), failures[0])
		}
		if got := l.ask("host", "tcp://10.96.0.98:80"); got != refused {
			t.Errorf("the Service that was deleted meanwhile: %s", got)
		}
		if !l.sane()() {
			t.Error("stale chains are left")
		}
	})
}

func TestTwoInstancesDoNotSeeEachOther(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		l.start(testOptions("test", testBridge), world())
		l.settle()
		alone := l.rules()

		other := Options{Instance: "other", Bridge: "kl-other0", NodeName: "n1", Log: slog.New(slog.DiscardHandler),
			PodCIDR: netip.MustParsePrefix("10.245.0.0/16"), ServiceCIDR: netip.MustParsePrefix("10.97.0.0/16")}
		l.ip("link add kl-other0 type bridge")
		t.Cleanup(func() { _ = netlink.LinkDel(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "kl-other0"}}) })
		l.ip("address add 10.245.0.1/16 dev kl-other0")
		l.ip("link set kl-other0 up")
		client := fake.NewClientset(svc("web", "10.97.0.2", "80/TCP:31000"), slice("web", ports("8080/TCP"), strangerLAN))
		l.serve(strangerLAN, 8080)
		d := l.start(other, client)
		for _, to := range []string{"tcp://10.97.0.2:80", "tcp://198.51.100.1:31000"} {
			if got := l.ask("host", to); got != "198.51.100.2:8080<-198.51.100.1" {
				t.Errorf("the other instance, %s: %s", to, got)
			}
		}
		if !l.sane()() {
			t.Error("the first instance suffers from the second")
		}
		d.stop()
		for range 2 { // the second time there is nothing to do
			if err := Cleanup(t.Context(), other); err != nil {
				t.Fatal(err)
			}
		}
		if now := l.rules(); now != alone {
			t.Errorf("after the other's cleanup:\n%s\nbefore it came:\n%s", now, alone)
		}
		if out := l.sh("ip route show 10.97.0.0/16"); out != "" {
			t.Errorf("the other's route is left: %s", out)
		}
		if !l.sane()() {
			t.Error("the first instance suffers from the cleanup of the second")
		}
	})
}

// rules is all that iptables has, without counters.
func (l *lab) rules() string {
	return l.sh("iptables-save -t filter | grep -v '^[#:]'; iptables-save -t nat | grep -v '^[#:]'; iptables-save | grep -o '^:KUBE-LITE[^ ]*' || true; nft list tables | grep kube-lite || true")
}

func TestCleanupLeavesNothing(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		if err := Cleanup(t.Context(), testOptions("test", testBridge)); err != nil {
			t.Fatalf("where nothing was: %v", err)
		}
		l.sh("iptables -t nat -A OUTPUT -p tcp --dport 1 -j RETURN; iptables -N SOMEBODY; iptables -A FORWARD -j SOMEBODY")
		rules, routes := l.rules(), l.sh("ip route")
		l.start(testOptions("test", testBridge), world()).stop()
		if err := Cleanup(t.Context(), testOptions("test", testBridge)); err != nil {
			t.Fatal(err)
		}
		if got := l.rules(); got != rules {
			t.Errorf("rules before:\n%s\nand after:\n%s", rules, got)
		}
		if got := l.sh("ip route"); got != routes {
			t.Errorf("routes before:\n%s\nand after:\n%s", routes, got)
		}
		l.start(testOptions("test", testBridge), world()).stop()
		l.ip("link delete %s", testBridge)
		if err := Cleanup(t.Context(), testOptions("test", testBridge)); err != nil {
			t.Errorf("without the bridge: %v", err)
		}
		if got := l.rules(); got != rules {
			t.Errorf("rules before:\n%s\nand after, without the bridge:\n%s", rules, got)
		}
	})
}

func TestAnotherModeLeavesNothingOfTheFirst(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		first := map[Mode]Mode{ModeIPTables: ModeNFTables, ModeNFTables: ModeIPTables}[l.mode]
		opts, client := testOptions("test", testBridge), world()
		l.start(opts, client).stop()
		alone := l.rules()
		if err := Cleanup(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		opts.Kernel = kernelOf(t, first, opts)
		l.start(opts, client).stop()
		if got := l.ask("host", "tcp://127.0.0.1:30081"); got != "10.244.0.2:8080<-10.244.0.1" {
			t.Errorf("with %s: %s", first, got)
		}
		opts.Kernel = nil
		l.start(opts, client).stop()
		if !l.sane()() {
			t.Errorf("%s after %s is not as it should be", l.mode, first)
		}
		if now := l.rules(); now != alone {
			t.Errorf("after another mode:\n%s\nalone:\n%s", now, alone)
		}
	})
}
