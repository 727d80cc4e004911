package netproxy

import (
	"net/netip"
	"strings"
	"testing"

	"sigs.k8s.io/knftables"
)

var webAt = netip.MustParseAddrPort("10.96.0.2:80") // the port of the world's Service web

func TestTheKernelIsReadBackWithNftables(t *testing.T) {
	for name, c := range map[string]struct {
		at     string
		damage func(*knftables.Fake)
		leads  bool
		seen   string
	}{
		"whole":             {"10.96.0.2:80", nil, true, "10.96.0.2 . tcp . 80 : goto cluster-2"},
		"no such port":      {"10.96.0.2:8080", nil, false, "has no element 10.96.0.2 . tcp . 8080"},
		"table removed":     {"10.96.0.2:80", func(f *knftables.Fake) { f.Table = nil; delete(f.Tables, knftables.IPv4Family) }, false, "has no map cluster-ips"},
		"map flushed":       {"10.96.0.2:80", func(f *knftables.Fake) { f.Table.Maps[nftClusterIPs].Elements = nil }, false, "has no element 10.96.0.2 . tcp . 80"},
		"chain flushed":     {"10.96.0.2:80", func(f *knftables.Fake) { f.Table.Chains[nftServices].Rules = nil }, false, "the chain services of nftables has no rules"},
		"the last in line":  {"10.96.0.2:80", func(f *knftables.Fake) { f.Table.Chains["cluster-2"].Rules = nil }, false, "the chain cluster-2 of nftables has no rules"},
		"the first in line": {"10.96.0.2:80", func(f *knftables.Fake) { f.Table.Chains["nat-output"].Rules = nil }, false, "the chain nat-output of nftables has no rules"},
	} {
		fake := newFakeNft()
		brings(t, onFake(fake), "web")
		if c.damage != nil {
			c.damage(fake)
		}
		got, err := (&kernelTools{nft: fake}).readBack(t.Context(), "", netip.MustParseAddrPort(c.at))
		if err != nil || got.Leads != c.leads || !strings.Contains(got.Seen, c.seen) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestTheKernelIsReadBackWithIptables(t *testing.T) {
	prefix := ChainPrefix("test")
	for name, c := range map[string]struct {
		at     string
		damage func(map[string][]string)
		leads  bool
		seen   string
	}{
		"whole":         {"10.96.0.2:80", nil, true, "-d 10.96.0.2/32 -p tcp -m tcp --dport 80"},
		"no such port":  {"10.96.0.2:8080", nil, false, "no rule for 10.96.0.2:8080"},
		"table flushed": {"10.96.0.2:80", func(nat map[string][]string) { clear(nat) }, false, "no jump from PREROUTING"},
		"jump removed":  {"10.96.0.2:80", func(nat map[string][]string) { nat["OUTPUT"] = nil }, false, "no jump from OUTPUT"},
		"rules removed": {"10.96.0.2:80", func(nat map[string][]string) { nat[prefix+"SERVICES"] = nil }, false, "no rule for 10.96.0.2:80"},
		"chains of ports flushed": {"10.96.0.2:80", func(nat map[string][]string) {
			for name := range nat {
				if strings.HasPrefix(name, prefix+"SVC-") {
					nat[name] = nil
				}
			}
		}, false, "of iptables has no rules"},
	} {
		k := newFakeKernel()
		k.applier().mustApply(t, "web")
		if c.damage != nil {
			c.damage(k.tables["nat"])
		}
		saved, err := k.save(t.Context(), "nat")
		got := iptablesReadBack(string(saved), prefix, netip.MustParseAddrPort(c.at))
		if err != nil || got.Leads != c.leads || !strings.Contains(got.Seen, c.seen) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestTheRealKernelIsReadBack(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		d := l.start(testOptions("test", testBridge), world())
		p := d.proxy
		l.settle()
		if got, err := p.ReadBack(t.Context(), webAt); err != nil || !got.Leads {
			t.Errorf("%s: %+v, %v", webAt, got, err)
		}
		other := netip.MustParseAddrPort("10.96.0.4:80") // without endpoints
		if got, err := p.ReadBack(t.Context(), other); err != nil || got.Leads {
			t.Errorf("%s: %+v, %v", other, got, err)
		}
		if got, err := p.ReadBack(t.Context(), netip.MustParseAddrPort("[fd00::1]:80")); err == nil {
			t.Errorf("of another family: %+v", got)
		}
		d.stop() // so that nobody puts back what follows
		for _, flush := range []string{"nft flush table ip " + nftTable("test"), "iptables -t nat -F"} {
			if strings.HasPrefix(flush, "nft") == (l.mode == ModeNFTables) {
				l.sh(flush)
			}
		}
		if got, err := p.ReadBack(t.Context(), webAt); err != nil || got.Leads || got.Seen == "" {
			t.Errorf("flushed: %+v, %v", got, err)
		}
	})
}
