package netproxy

import (
	"net/netip"
	"slices"

	"github.com/coreos/go-iptables/iptables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/knftables"
)

// family is an IP family, with the words that the kernel and its programs have for it. The zero value is IPv4.
type family struct{ six bool }

var ipv4, ipv6 = family{}, family{six: true}

// familyOf is that of an address, which has to be valid.
func familyOf(a netip.Addr) family { return family{a.Is6()} }

// has tells whether an address is of the family.
func (f family) has(a netip.Addr) bool { return a.IsValid() && a.Is6() == f.six }

// one is the range that holds nothing but a.
func one(a netip.Addr) string { return netip.PrefixFrom(a, a.BitLen()).String() }

// loopback are the addresses that no packet has on its way to a Pod, as a source or as a destination.
func (f family) loopback() string { return f.choose("127.0.0.0/8", "::1/128") }

// portUnreachable is what iptables calls the refusal that is not a reset.
func (f family) portUnreachable() string {
	return f.choose("icmp-port-unreachable", "icmp6-port-unreachable")
}

// ip is what nft calls the header, and the family of a table.
func (f family) ip() string { return f.choose("ip", "ip6") }

// addressType is the type that nft has for addresses.
func (f family) addressType() string { return f.choose("ipv4_addr", "ipv6_addr") }

// iptables is the name of the program; those that save and restore have it in front.
func (f family) iptables() string { return f.choose("iptables", "ip6tables") }

func (f family) choose(four, six string) string {
	if f.six {
		return six
	}
	return four
}

func (f family) iptablesProtocol() iptables.Protocol {
	if f.six {
		return iptables.ProtocolIPv6
	}
	return iptables.ProtocolIPv4
}

func (f family) nftables() knftables.Family { return knftables.Family(f.ip()) }

func (f family) netlink() int {
	if f.six {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// socket is the family of a socket, and of a table of nftables.
func (f family) socket() int {
	if f.six {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// routeGroup is where the kernel tells of routes.
func (f family) routeGroup() uint {
	if f.six {
		return unix.RTNLGRP_IPV6_ROUTE
	}
	return unix.RTNLGRP_IPV4_ROUTE
}

func (f family) endpointType() discoveryv1.AddressType {
	return discoveryv1.AddressType(f.choose(string(discoveryv1.AddressTypeIPv4), string(discoveryv1.AddressTypeIPv6)))
}

// addresses parses those that are of the family.
func (f family) addresses(texts []string) (addrs []netip.Addr) {
	for _, s := range texts {
		if addr, err := netip.ParseAddr(s); err == nil && f.has(addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// prefixes are those of the family.
func (f family) prefixes(all []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool { return !f.has(p.Addr()) })
}

// ports are those of the family.
func (f family) ports(all []servicePort) []servicePort {
	other := func(sp servicePort) bool { return !f.has(sp.ClusterIP) }
	if !slices.ContainsFunc(all, other) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), other)
}

// hosts are those of the family.
func (f family) hosts(all []hostPort) []hostPort {
	other := func(h hostPort) bool { return h.Family != f }
	if !slices.ContainsFunc(all, other) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), other)
}

// targets are those of the family.
func (f family) targets(all targets) targets {
	own := targets{}
	for t := range all {
		if f.has(t.at.Addr()) {
			own[t] = true
		}
	}
	return own
}
