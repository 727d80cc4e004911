package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routedPrefixes are the ranges of an instance's families that this host routes
// somewhere, the default route apart.
func routedPrefixes(ipFamily string) (used []netip.Prefix, err error) {
	families := []int{unix.AF_INET}
	if ipFamily == FamilyDual || ipFamily == FamilyIPv6 {
		families = append(families, unix.AF_INET6)
	}
	for _, family := range families {
		some, err := routedOf(family)
		if err != nil {
			return nil, err
		}
		used = append(used, some...)
	}
	return used, nil
}

func routedOf(family int) ([]netip.Prefix, error) {
	// A change of the table while it is read interrupts the dump: ask again.
	var routes []netlink.Route
	err := error(netlink.ErrDumpInterrupted)
	for range 5 {
		if routes, err = netlink.RouteList(nil, family); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the host's routes: %w", err)
	}
	var used []netip.Prefix
	for _, r := range routes {
		if p, ok := toPrefix(r.Dst); ok {
			used = append(used, p)
		}
	}
	return used, nil
}

// toPrefix reports false for the default route, which every range is in.
func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok && ones > 0
}

// firstFree returns want, or the next range of its size within 10.0.0.0/8 that
// overlaps none of the used ones.
func firstFree(want netip.Prefix, used []netip.Prefix) (netip.Prefix, error) {
	private := netip.MustParsePrefix("10.0.0.0/8")
	candidate := want
	for range 1 << (want.Bits() - private.Bits()) {
		if !overlapsAny(candidate, used) {
			return candidate, nil
		}
		candidate = next(candidate)
		if !private.Contains(candidate.Addr()) {
			candidate = netip.PrefixFrom(private.Addr(), want.Bits())
		}
	}
	return want, fmt.Errorf("every range of 10.0.0.0/8 is in use on this host: choose one with --pod-cidr and --service-cidr")
}

func overlapsAny(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if u.IsValid() && p.Overlaps(u) {
			return true
		}
	}
	return false
}

// next is the range of p's size that follows p.
func next(p netip.Prefix) netip.Prefix {
	a := p.Addr().As4()
	n := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	n += 1 << (32 - p.Bits())
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), p.Bits())
}
