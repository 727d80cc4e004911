package daemon

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kube-lite/kube-lite/netproxy"
	"github.com/kube-lite/kube-lite/runtime/docker"
)

// The values of --ip-family.
const (
	FamilyIPv4 = "ipv4" // the default
	FamilyIPv6 = "ipv6"
	FamilyDual = "dual"
)

// Ranges are those of a flag such as --pod-cidr, one for each IP family. Either may be the zero Prefix.
type Ranges struct {
	Four, Six netip.Prefix
	SixFirst  bool // IPv6 was named first, which makes it the primary family
}

// ParseRanges reads the value of a flag such as --pod-cidr: a range, or one of each IP family with a comma in between.
func ParseRanges(flag, text string) (r Ranges, err error) {
	for i, part := range strings.Split(text, ",") {
		prefix, err := ParseCIDR(flag, part)
		if err != nil {
			return r, err
		}
		of := r.of(prefix.Addr().Is6())
		if of.IsValid() {
			return r, fmt.Errorf("%s %s: use one range of each IP family", flag, text)
		}
		*of = prefix
		r.SixFirst = r.SixFirst || i == 0 && prefix.Addr().Is6()
	}
	return r, nil
}

func (r *Ranges) of(six bool) *netip.Prefix {
	if six {
		return &r.Six
	}
	return &r.Four
}

// pair tells whether there is a range of each family.
func (r Ranges) pair() bool { return r.Four.IsValid() && r.Six.IsValid() }

// check refuses ranges that cannot be. The narrowest of IPv6 has as many addresses as the widest of IPv4 that is usual.
func (r Ranges) check(flag, family string) error {
	if r.Four.IsValid() && (r.Four.Bits() > 28 || r.Four.Bits() < 8) {
		return fmt.Errorf("%s %s: use an IPv4 range from /8 to /28, such as %s", flag, r.Four, defaultPodCIDR)
	}
	if r.Six.IsValid() && (r.Six.Bits() > 112 || r.Six.Bits() < 16) {
		return fmt.Errorf("%s %s: use an IPv6 range from /16 to /112, such as fd00:10:244::/64", flag, r.Six)
	}
	switch {
	case r.Six.IsValid() && family == FamilyIPv4:
		return fmt.Errorf("%s %s: IPv6 takes --ip-family %s or %s", flag, r.Six, FamilyDual, FamilyIPv6)
	case r.Four.IsValid() && family == FamilyIPv6:
		return fmt.Errorf("%s %s: --ip-family %s has no IPv4", flag, r.Four, family)
	}
	return nil
}

// checkFamily refuses what --ip-family cannot be.
func checkFamily(family string) error {
	if !slices.Contains([]string{"", FamilyIPv4, FamilyIPv6, FamilyDual}, family) {
		return fmt.Errorf("--ip-family %q: use %s, %s or %s", family, FamilyIPv4, FamilyDual, FamilyIPv6)
	}
	return nil
}

// sixFirst tells whether IPv6 is the primary family, which is that of a Service that names none.
func (c Config) sixFirst() (bool, error) {
	pods, services := c.PodCIDRs, c.ServiceCIDRs
	if pods.pair() && services.pair() && pods.SixFirst != services.SixFirst {
		return false, errors.New("--pod-cidr and --service-cidr: name the IP families in the same order")
	}
	return pods.pair() && pods.SixFirst || services.pair() && services.SixFirst, nil
}

// family is the instance's value of --ip-family.
func (s settings) family() string { return cmp.Or(s.IPFamily, FamilyIPv4) }

func (s settings) hasIPv6() bool { return s.family() != FamilyIPv4 }

// settleIPv6 chooses what the instance has beside or instead of IPv4: ranges of a random site, as RFC 4193 wants it.
func (s *settings) settleIPv6(cfg Config, used []netip.Prefix) (err error) {
	if s.IPFamily = cfg.IPFamily; s.family() == FamilyIPv4 {
		s.IPFamily = "" // as in the files of an older kube-lite
		return nil
	}
	if s.IPv6First, err = cfg.sixFirst(); err != nil {
		return err
	}
	pods, services, err := localRanges(append(used, cfg.PodCIDRs.Six, cfg.ServiceCIDRs.Six))
	if err != nil {
		return err
	}
	s.PodCIDR6, s.ServiceCIDR6 = cmp.Or(cfg.PodCIDRs.Six, pods), cmp.Or(cfg.ServiceCIDRs.Six, services)
	if s.family() == FamilyIPv6 {
		s.ServiceCIDR = netip.Prefix{}
	}
	return nil
}

// siteTries is how many random sites are tried. Of 2^40 the first is free.
const siteTries = 16

// localRanges are two ranges of a random site of fd00::/8 that overlap none of the used ones.
func localRanges(used []netip.Prefix) (pods, services netip.Prefix, err error) {
	for range siteTries {
		site := [16]byte{0: 0xfd}
		if _, err := rand.Read(site[1:6]); err != nil {
			return pods, services, fmt.Errorf("an IPv6 range: %w", err)
		}
		if !overlapsAny(netip.PrefixFrom(netip.AddrFrom16(site), 48), used) {
			site[7] = 1
			pods = netip.PrefixFrom(netip.AddrFrom16(site), 64)
			site[7] = 2
			return pods, netip.PrefixFrom(netip.AddrFrom16(site), 112), nil
		}
	}
	return pods, services, errors.New("no free IPv6 range found on this host: choose with --pod-cidr and --service-cidr")
}

// familyRanges are what the instance has of one IP family.
type familyRanges struct {
	pods, services netip.Prefix
}

// gateway is the pod bridge's own address: the first of the pods' range.
func (f familyRanges) gateway() netip.Addr { return f.pods.Masked().Addr().Next() }

// families are those of the instance, the primary one first.
func (s settings) families() (all []familyRanges) {
	if s.family() != FamilyIPv6 {
		all = append(all, familyRanges{s.PodCIDR, s.ServiceCIDR})
	}
	if s.hasIPv6() {
		all = append(all, familyRanges{s.PodCIDR6, s.ServiceCIDR6})
	}
	if s.IPv6First {
		slices.Reverse(all)
	}
	return all
}

// ipFamilies are the families by their names in the API.
func (s settings) ipFamilies() (all []corev1.IPFamily) {
	for _, f := range s.families() {
		if f.pods.Addr().Is6() {
			all = append(all, corev1.IPv6Protocol)
		} else {
			all = append(all, corev1.IPv4Protocol)
		}
	}
	return all
}

// texts are the ranges of the families, with commas in between.
func (s settings) texts() (pods, services string) {
	var p, v []string
	for _, f := range s.families() {
		p, v = append(p, f.pods.String()), append(v, f.services.String())
	}
	return strings.Join(p, ","), strings.Join(v, ",")
}

// addTo has the rules be of the instance's families.
func (s settings) addTo(opts *netproxy.Options) {
	network := s.network(opts.Instance)
	if s.family() != FamilyIPv6 {
		opts.PodCIDR, opts.ServiceCIDR, opts.OtherCIDR = s.PodCIDR, s.ServiceCIDR, network.EngineRange()
	}
	if s.hasIPv6() {
		opts.IPv6 = netproxy.Ranges{PodCIDR: s.PodCIDR6, ServiceCIDR: s.ServiceCIDR6, OtherCIDR: network.EngineRange6()}
		opts.Gateway6 = network.Gateway6
	}
}

// network is that of the pods of an instance. It has IPv4 in any case: engines before 27 make none without.
func (s settings) network(name string) docker.NetworkSpec {
	spec := docker.NetworkSpec{
		Name:    docker.NetworkName(name),
		Bridge:  bridgeName(name),
		Subnet:  s.PodCIDR,
		Gateway: s.PodCIDR.Masked().Addr().Next(),
		Labels:  docker.InstanceLabel(name),
	}
	if s.hasIPv6() {
		spec.Subnet6, spec.Gateway6 = s.PodCIDR6, s.PodCIDR6.Masked().Addr().Next()
	}
	return spec
}
