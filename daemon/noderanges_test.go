package daemon

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

func rangesOf(pods, pods6 string, families ...corev1.IPFamily) nodeRanges {
	r := nodeRanges{docker.NetworkSpec{Subnet: netip.MustParsePrefix(pods)}, families}
	if pods6 != "" {
		r.network.Subnet6 = netip.MustParsePrefix(pods6)
	}
	return r
}

func TestNodesHaveRangesOfTheirOwn(t *testing.T) {
	four, six := corev1.IPv4Protocol, corev1.IPv6Protocol
	for _, test := range []struct {
		ranges nodeRanges
		count  int
		number int
		cidrs  string
		node   string
	}{
		{rangesOf("10.244.0.0/16", "", four), 192, 0, "10.244.0.0/24", "10.244.0.1"},
		{rangesOf("10.244.0.0/16", "", four), 192, 191, "10.244.191.0/24", "10.244.191.1"},
		{rangesOf("10.8.4.0/22", "", four), 3, 2, "10.8.6.0/24", "10.8.6.1"},
		{rangesOf("10.8.4.0/23", "", four), 1, 0, "10.8.4.0/23", "10.8.4.1"},
		{rangesOf("10.8.4.0/28", "fd00::/112", four, six), 1, 0, "10.8.4.0/28 fd00::/112", "10.8.4.1"},
		{rangesOf("10.244.0.0/16", "fd00:1::/64", six, four), 192, 1, "fd00:1::100/120 10.244.1.0/24", "10.244.1.1"},
		{rangesOf("10.244.0.0/16", "fd00:1::/64", six), 192, 3, "fd00:1::300/120", "10.244.3.1"},
	} {
		r := test.ranges
		if got := r.count(); got != test.count {
			t.Errorf("%s is %d ranges, want %d", r.network.Subnet, got, test.count)
		}
		cidrs := r.cidrs(test.number)
		if got := strings.Join(cidrs, " "); got != test.cidrs || r.address(test.number).String() != test.node {
			t.Errorf("number %d of %s: %s with %s, want %s with %s", test.number, r.network.Subnet, got, r.address(test.number), test.cidrs, test.node)
		}
		if number, ok := r.find(cidrs[0]); !ok || number != test.number {
			t.Errorf("%s is number %d, %v, of %s", cidrs[0], number, ok, r.network.Subnet)
		}
		if overlapsAny(r.of(test.number), []netip.Prefix{r.network.EngineRange()}) && test.count > 1 {
			t.Errorf("%s is in the engine's part", r.of(test.number))
		}
	}
}

func TestANewNodeGetsARangeThatNobodyUses(t *testing.T) {
	wide := rangesOf("10.8.0.0/21", "", corev1.IPv4Protocol) // of which 10.8.6.0/23 is the engine's
	pod := func(text string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(text)} }
	for _, test := range []struct {
		ranges nodeRanges
		taken  map[int]bool
		inUse  []netip.Addr
		want   int
		err    string
	}{
		{ranges: wide, want: 1},
		{ranges: wide, taken: map[int]bool{1: true, 2: true}, want: 3},
		{ranges: wide, taken: map[int]bool{1: true}, inUse: pod("10.8.2.77"), want: 3},
		{ranges: wide, inUse: pod("10.8.0.7"), want: 1},
		{ranges: wide, taken: map[int]bool{1: true, 2: true, 3: true, 4: true, 5: true}, err: "10.8.0.0/21 has no part left for another node: it has 6"},
		{ranges: rangesOf("10.8.0.0/24", "", corev1.IPv4Protocol), err: "10.8.0.0/24 is too narrow for another node: make the instance with --pod-cidr and a range of /22 or wider"},
	} {
		got, err := test.ranges.free(test.taken, test.inUse)
		if test.err == "" && (err != nil || got != test.want) || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s with %v and %v: %d, %v; want %d, %s", test.ranges.network.Subnet, test.taken, test.inUse, got, err, test.want, test.err)
		}
	}
}

func TestNodeLabelsAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"topology.kubernetes.io/zone=a":           "0 topology.kubernetes.io/zone a",
		"2:topology.kubernetes.io/zone=b":         "2 topology.kubernetes.io/zone b",
		"disk=":                                   "0 disk ",
		"disk":                                    "use KEY=VALUE",
		"0:disk=ssd":                              "use KEY=VALUE, or N:KEY=VALUE",
		"vm:disk=ssd":                             "use KEY=VALUE, or N:KEY=VALUE",
		"disk type=ssd":                           "name part must consist of",
		"disk=" + strings.Repeat("x", 64):         "must be no more than 63",
		"topology.kubernetes.io/zone=a=b":         "a valid label must be",
		"3:a.b/" + strings.Repeat("x", 99) + "=y": "must be no more than 63",
	} {
		l, err := ParseNodeLabel(text)
		got := strings.TrimSpace(strings.Join([]string{string(rune('0' + l.Node)), l.Key, l.Value}, " "))
		if err != nil {
			got = err.Error()
			if !strings.Contains(got, `--node-label "`+text+`"`) {
				t.Errorf("%s: %s does not say what is wrong", text, got)
			}
		}
		if !strings.Contains(got, strings.TrimSpace(want)) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestNodesAreCheckedBeforeAnythingIsMade(t *testing.T) {
	for want, cfg := range map[string]Config{
		"--nodes 101: use a number from 1 to 100":               {Nodes: 101},
		"--node-label 3:a=b: there is no node 3 with --nodes 2": {Nodes: 2, NodeLabels: []NodeLabel{{3, "a", "b"}}},
		"--node-label 2:a=b: there is no node 2 with --nodes 1": {NodeLabels: []NodeLabel{{2, "a", "b"}}},
		"": {Nodes: 2, NodeLabels: []NodeLabel{{0, "a", "b"}, {2, "a", "b"}}},
	} {
		_, err := cfg.WithDefaults()
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestNumberedNodesHaveNamesOfTheirOwn(t *testing.T) {
	long := strings.Repeat("a", 60) + ".b"
	for name, want := range map[string]string{"vm": "vm vm-2 vm-12", long: long + " " + strings.Repeat("a", 60) + "-2 " + strings.Repeat("a", 60) + "-12"} {
		d := &daemon{nodeName: name}
		got := strings.Join([]string{d.numbered(1), d.numbered(2), d.numbered(12)}, " ")
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, n := range strings.Fields(got) {
			if err := ValidateNodeName(n); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAnAddressIsLeftWhenNoNodeHasItsRange(t *testing.T) {
	r := rangesOf("10.244.0.0/16", "", corev1.IPv4Protocol)
	addresses := func(texts ...string) (all []netip.Addr) {
		for _, text := range texts {
			all = append(all, netip.MustParseAddr(text))
		}
		return all
	}
	got := r.left(addresses("10.244.0.1", "10.244.1.1", "10.244.2.1", "10.244.3.7", "192.0.2.1"), map[int]bool{1: true})
	if want := addresses("10.244.2.1"); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
}

func TestANodeThatSomebodyMadeWithARangeMayNotHaveIt(t *testing.T) {
	r := rangesOf("10.244.0.0/16", "", corev1.IPv4Protocol)
	node := func(name, cidr string) *corev1.Node {
		n := &corev1.Node{}
		n.Name, n.Spec.PodCIDR = name, cidr
		return n
	}
	all := []*corev1.Node{node("first", "10.244.0.0/16"), node("a", "10.244.1.0/24"), node("b", "10.244.1.0/24"), node("c", "192.0.2.0/24"), node("d", "10.244.0.0/24")}
	for at, want := range []string{"", "", "is the range of node a", "is no range", "is no range"} {
		number, err := r.given(all[at], "first", all)
		if want == "" && (err != nil || number != at) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %d, %v; want %q", all[at].Name, number, err, want)
		}
	}
}
