package netproxy

import (
	"cmp"
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
	name   string                          // what the branches' names begin with
	named  func(branch string) string      // makes a branch's name of one that may be too long; nil: it is not
	digits int                             // hexadecimal digits of a key: 8 for an address, 4 for a port
	match  func(first, last uint32) string // what matches the keys of a branch
}

// leaf is a rule, which matches in full by itself, under its key.
type leaf struct {
	key  uint32
	rule string
}

// fanout is the number of keys up to which a chain lists them all, and of branches below a chain.
const fanout = 16

// build fills chain with the leaves, or with jumps to branches that differ in one hexadecimal digit.
func (d dispatch) build(chain string, leaves []leaf) {
	slices.SortStableFunc(leaves, func(a, b leaf) int { return cmp.Compare(a.key, b.key) })
	d.chains.add(chain)
	d.grow(chain, leaves, d.digits)
}

// grow handles leaves that have all but the last digits digits in common.
func (d dispatch) grow(chain string, leaves []leaf, digits int) {
	if len(leaves) <= fanout || digits == 0 {
		for _, l := range leaves {
			d.chains.add(chain, l.rule)
		}
		return
	}
	shift := 4 * (digits - 1)
	first, last := leaves[0].key>>shift, leaves[len(leaves)-1].key>>shift
	if first == last { // a digit that does not tell them apart needs no chain
		d.grow(chain, leaves, digits-1)
		return
	}
	for len(leaves) > 0 {
		branch := leaves[0].key >> shift
		n := len(leaves)
		if i := slices.IndexFunc(leaves, func(l leaf) bool { return l.key>>shift != branch }); i >= 0 {
			n = i
		}
		name := d.name + hexDigits(branch, d.digits-digits+1)
		if d.named != nil {
			name = d.named(name)
		}
		d.chains.add(chain, d.match(branch<<shift, branch<<shift|(1<<shift-1)), "-j", name)
		d.grow(name, leaves[:n], digits-1)
		leaves = leaves[n:]
	}
}

// hexDigits is v as exactly n hexadecimal digits, so that no two branches share a name.
func hexDigits(v uint32, n int) string {
	s := strconv.FormatUint(uint64(v), 16)
	for len(s) < n {
		s = "0" + s
	}
	return s
}

// addressDispatch tells IPv4 addresses apart by ever longer prefixes.
func (s settings) addressDispatch(c chains, name string) dispatch {
	return dispatch{chains: c, name: s.prefix + name, digits: 8, match: func(first, last uint32) string {
		return "-d " + prefixOf(first, last)
	}}
}

// prefixOf is the range of the addresses from first to last, which have to be one.
func prefixOf(first, last uint32) string {
	a := netip.AddrFrom4([4]byte{byte(first >> 24), byte(first >> 16), byte(first >> 8), byte(first)})
	bits := 32
	for span := last - first; span > 0; span >>= 1 {
		bits--
	}
	return netip.PrefixFrom(a, bits).String()
}

// portDispatch tells the ports of one protocol apart by ever shorter ranges.
func (s settings) portDispatch(c chains, p corev1.Protocol) dispatch {
	proto := strings.ToLower(string(p))
	return dispatch{chains: c, name: s.prefix + string(p) + "-", digits: 4, match: func(first, last uint32) string {
		return fmt.Sprintf("-p %s -m %s --dport %d:%d", proto, proto, first, last)
	}}
}
