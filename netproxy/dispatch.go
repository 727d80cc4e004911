package netproxy

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A dispatch is a tree of chains that finds the rules for a number, a ClusterIP or a port, with few comparisons,
// and in which a change touches few rules: one flat chain of 1,000 Services takes iptables-restore 60 ms to write
// again, a branch takes 5.
type dispatch struct {
	chains chains
	name   string                     // what the branches' names begin with
	named  func(branch string) string // makes a branch's name of one that may be too long; nil: it is not
	match  func(digits string) string // what matches the keys that begin with these digits
}

// leaf is a rule, which matches in full by itself, under its key: all digits of an address or a port, in hexadecimal.
type leaf struct {
	key  string
	rule string
}

// fanout is the number of keys up to which a chain lists them all, and of branches below a chain.
const fanout = 16

// build fills chain with the leaves, or with jumps to branches that differ in one hexadecimal digit.
func (d dispatch) build(chain string, leaves []leaf) {
	slices.SortStableFunc(leaves, func(a, b leaf) int { return cmp.Compare(a.key, b.key) })
	d.chains.add(chain)
	d.grow(chain, leaves, 0)
}

// grow handles leaves that have their first digits in common, as many as common says.
func (d dispatch) grow(chain string, leaves []leaf, common int) {
	if len(leaves) <= fanout || common == len(leaves[0].key) {
		for _, l := range leaves {
			d.chains.add(chain, l.rule)
		}
		return
	}
	common++
	if leaves[0].key[:common] == leaves[len(leaves)-1].key[:common] { // a digit that does not tell them apart needs no chain
		d.grow(chain, leaves, common)
		return
	}
	for len(leaves) > 0 {
		branch := leaves[0].key[:common]
		n := len(leaves)
		if i := slices.IndexFunc(leaves, func(l leaf) bool { return l.key[:common] != branch }); i >= 0 {
			n = i
		}
		name := d.name + branch
		if d.named != nil {
			name = d.named(name)
		}
		d.chains.add(chain, d.match(branch), "-j", name)
		d.grow(name, leaves[:n], common)
		leaves = leaves[n:]
	}
}

// addressDispatch tells addresses apart by ever longer prefixes. Those of IPv6 are too long for a chain's name.
func (s settings) addressDispatch(c chains, name string) dispatch {
	d := dispatch{chains: c, name: s.prefix + name, match: func(digits string) string { return "-d " + s.prefixOf(digits) }}
	if s.family == ipv6 {
		d.named = func(branch string) string { return s.prefix + name + hash(branch)[:8] }
	}
	return d
}

// addressKey is the key of an address: 8 digits of IPv4, 32 of IPv6.
func addressKey(a netip.Addr) string { return hex.EncodeToString(a.AsSlice()) }

// prefixOf is the range of the addresses whose keys begin with these digits, of which there are 8 or fewer for IPv4.
func (s settings) prefixOf(digits string) string {
	length := 8
	if s.family == ipv6 {
		length = 32
	}
	b, _ := hex.DecodeString(digits + strings.Repeat("0", length-len(digits))) // keys have nothing but digits
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, 4*len(digits)).String()
}

// portDispatch tells the ports of one protocol apart by ever shorter ranges.
func (s settings) portDispatch(c chains, p corev1.Protocol) dispatch {
	proto := strings.ToLower(string(p))
	return dispatch{chains: c, name: s.prefix + string(p) + "-", match: func(digits string) string {
		first, last := digits+strings.Repeat("0", 4-len(digits)), digits+strings.Repeat("f", 4-len(digits))
		return fmt.Sprintf("-p %s -m %s --dport %d:%d", proto, proto, portOf(first), portOf(last))
	}}
}

// portKey is the key of a port.
func portKey(port uint16) string { return fmt.Sprintf("%04x", port) }

func portOf(key string) uint64 {
	port, _ := strconv.ParseUint(key, 16, 16) // keys have nothing but digits
	return port
}
