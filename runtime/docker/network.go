package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bridgeNameOption names the bridge device of a network of driver bridge.
const bridgeNameOption = "com.docker.network.bridge.name"

// NetworkSpec describes the bridge network of an instance.
type NetworkSpec struct {
	Name    string
	Bridge  string // device name, at most 15 characters
	Subnet  netip.Prefix
	Gateway netip.Addr // the bridge's own address, within Subnet
	Labels  map[string]string

	Subnet6  netip.Prefix // the same of IPv6; the zero Prefix: none. No narrower than what Subnet has of addresses
	Gateway6 netip.Addr

	// MoreAddresses are addresses of Subnet that the bridge has beside Gateway, and with Subnet6 those at the same place.
	MoreAddresses []netip.Addr

	given netip.Prefix // EngineRange of a network that there is
}

// EngineRange is the part of Subnet that the engine gives to containers which name no address:
// the last quarter. The rest is for whoever made the network.
func (s NetworkSpec) EngineRange() netip.Prefix { return lastQuarter(s.Subnet) }

// EngineRange6 is the same of Subnet6.
func (s NetworkSpec) EngineRange6() netip.Prefix {
	if !s.Subnet6.IsValid() {
		return netip.Prefix{}
	}
	return lastQuarter(s.Subnet6)
}

func lastQuarter(p netip.Prefix) netip.Prefix {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < p.Bits()+2; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, p.Bits()+2)
}

// Address6 is the address of Subnet6 for whoever has an address of Subnet: at the same place in the range.
func (s NetworkSpec) Address6(a netip.Addr) netip.Addr {
	four, base, six := a.As4(), s.Subnet.Masked().Addr().As4(), s.Subnet6.Masked().Addr().As16()
	for i := range four {
		six[12+i] |= four[i] ^ base[i]
	}
	return netip.AddrFrom16(six)
}

// Range6 is the part of Subnet6 for whoever has a part of Subnet: at the same place in the range.
func (s NetworkSpec) Range6(part netip.Prefix) netip.Prefix {
	if part.Bits() == s.Subnet.Bits() {
		return s.Subnet6
	}
	return netip.PrefixFrom(s.Address6(part.Masked().Addr()), 96+part.Bits())
}

// EnsureNetwork makes the network exist as described. One of that name that is as
// described is reused; one that differs is made anew if the engine has attached nothing to
// it, else the error says what differs.
func (e *Engine) EnsureNetwork(ctx context.Context, spec NetworkSpec) error {
	found, ok, err := e.Network(ctx, spec.Name)
	if err != nil {
		return err
	}
	if ok && found.Labels[LabelInstance] != spec.Labels[LabelInstance] {
		return fmt.Errorf("network %s exists and is not this instance's: remove it (docker network rm %s)", spec.Name, spec.Name)
	}
	if ok {
		differs := found.differs(spec)
		if differs == "" {
			return spec.steadyAddresses()
		}
		if err := e.RemoveNetwork(ctx, spec.Name); err != nil {
			return failure(err, "network %s exists with %s and is in use: stop the containers that are in it", spec.Name, differs)
		}
	}
	return e.createNetwork(ctx, spec)
}

// Network describes a network by its name; ok is false when there is none.
func (e *Engine) Network(ctx context.Context, name string) (spec NetworkSpec, ok bool, err error) {
	ctx, cancel := bounded(ctx, QueryTimeout)
	defer cancel()
	found, err := e.cli.NetworkInspect(ctx, name, network.InspectOptions{})
	if IsNotFound(err) {
		return NetworkSpec{}, false, nil
	}
	if err != nil {
		return NetworkSpec{}, false, failure(err, "inspect network %s", name)
	}
	spec = NetworkSpec{Name: found.Name, Bridge: found.Options[bridgeNameOption], Labels: found.Labels}
	for _, c := range found.IPAM.Config {
		prefix, err := netip.ParsePrefix(c.Subnet)
		switch {
		case err == nil && prefix.Addr().Is4():
			spec.Subnet = prefix
			spec.Gateway, _ = netip.ParseAddr(c.Gateway)
			spec.given, _ = netip.ParsePrefix(c.IPRange)
		case err == nil && found.EnableIPv6:
			spec.Subnet6 = prefix
			spec.Gateway6, _ = netip.ParseAddr(c.Gateway)
		}
	}
	return spec, true, nil
}

// ErrEndpointMiscounted tells that an engine refuses to remove a network for endpoints that no
// container has. Engines lose count when one container starts in a network while another
// leaves it (moby/moby issue 42119), and count anew only at their own start. The network is of
// use still: whoever ensures it gets it.
var ErrEndpointMiscounted = errors.New("it has no container, and yet Docker counts one: restart Docker and repeat this")

// An engine gives the endpoint of a container that was removed free a moment later.
const (
	endpointTries = 10
	endpointPause = 200 * time.Millisecond
)

// RemoveNetwork removes a network; one that is gone is no error. One that a container
// uses is not removed. The error is ErrEndpointMiscounted where only the engine's count says so.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx, RemoveTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := e.cli.NetworkRemove(ctx, name)
		switch {
		case err == nil || IsNotFound(err):
			return nil
		case !strings.Contains(err.Error(), "has active endpoints"):
			return failure(err, "remove network %s", name)
		case e.hasMembers(ctx, name):
			return failure(err, "remove network %s", name)
		case try == endpointTries:
			return fmt.Errorf("remove network %s: %w", name, ErrEndpointMiscounted)
		}
		select {
		case <-ctx.Done():
			return failure(ctx.Err(), "remove network %s", name)
		case <-time.After(endpointPause):
		}
	}
}

// hasMembers tells whether a container is attached to a network.
func (e *Engine) hasMembers(ctx context.Context, name string) bool {
	found, err := e.cli.NetworkInspect(ctx, name, network.InspectOptions{})
	return err == nil && len(found.Containers) > 0
}

func (e *Engine) createNetwork(ctx context.Context, spec NetworkSpec) error {
	ctx, cancel := bounded(ctx, CreateTimeout)
	defer cancel()
	options := network.CreateOptions{
		Driver:  "bridge",
		Labels:  spec.Labels,
		Options: map[string]string{bridgeNameOption: spec.Bridge},
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{
			{Subnet: spec.Subnet.String(), Gateway: spec.Gateway.String(), IPRange: spec.EngineRange().String()},
		}},
	}
	if spec.Subnet6.IsValid() {
		six := network.IPAMConfig{Subnet: spec.Subnet6.String(), Gateway: spec.Gateway6.String(), IPRange: spec.EngineRange6().String()}
		options.EnableIPv6, options.IPAM.Config = new(bool), append(options.IPAM.Config, six)
		*options.EnableIPv6 = true
	}
	_, err := e.cli.NetworkCreate(ctx, spec.Name, options)
	if err != nil && !IsConflict(err) { // someone made it meanwhile
		return failure(err, "create network %s (%s on %s)", spec.Name, spec.Subnet, spec.Bridge)
	}
	return spec.steadyBridge()
}

// steadyBridge gives a new bridge the hardware address that it always has. Engines choose another one each time; a
// container that was on the bridge before would go on sending to the old one, and nothing that is not switched
// would get through until its kernel asks again: for 5 s, and for as long as 20 where it sends again by TCP.
func (s NetworkSpec) steadyBridge() error {
	bridge, err := netlink.LinkByName(s.Bridge)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil // the engine is on another machine, or somebody was faster
	}
	if err == nil {
		err = netlink.LinkSetHardwareAddr(bridge, hardwareAddr(s.Gateway))
	}
	if err != nil {
		return fmt.Errorf("set the hardware address of the bridge %s: %w", s.Bridge, err)
	}
	return s.steadyAddresses()
}

// steadyAddresses gives the bridge all of its addresses.
func (s NetworkSpec) steadyAddresses() error {
	if err := s.steadyAddress(); err != nil {
		return err
	}
	for _, a := range s.MoreAddresses {
		err := s.eachAddress(a, func(bridge netlink.Link, addr *netlink.Addr) error { return netlink.AddrReplace(bridge, addr) })
		if err != nil {
			return fmt.Errorf("give the bridge %s the address %s: %w", s.Bridge, a, err)
		}
	}
	return nil
}

// RemoveAddress takes one of MoreAddresses from the bridge. One that is not there is no error.
func (s NetworkSpec) RemoveAddress(a netip.Addr) error {
	err := s.eachAddress(a, netlink.AddrDel)
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("take the address %s from the bridge %s: %w", a, s.Bridge, err)
	}
	return nil
}

// Addresses are those of IPv4 that the bridge has, if there is one here.
func (s NetworkSpec) Addresses() (out []netip.Addr, err error) {
	bridge, err := netlink.LinkByName(s.Bridge)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	var found []netlink.Addr
	if err == nil {
		found, err = netlink.AddrList(bridge, netlink.FAMILY_V4)
	}
	if err != nil {
		return nil, fmt.Errorf("list the addresses of the bridge %s: %w", s.Bridge, err)
	}
	for _, a := range found {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			out = append(out, ip)
		}
	}
	return out, nil
}

// eachAddress calls do with an address of Subnet and the one at its place in Subnet6, if there is a bridge here: the engine
// may be on another machine. Pods reach them as they do the gateway: by the range that they are in. Nothing that this machine
// sends to Pods has them as its source: of several of IPv6 kernels choose one of the range that shares most with the destination
// (RFC 6724, section 5, rule 8), so theirs is said to be wider than the gateway's.
func (s NetworkSpec) eachAddress(a netip.Addr, do func(netlink.Link, *netlink.Addr) error) error {
	bridge, err := netlink.LinkByName(s.Bridge)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	err = do(bridge, &netlink.Addr{IPNet: netlink.NewIPNet(a.AsSlice())})
	if s.Subnet6.IsValid() {
		wider := &net.IPNet{IP: s.Address6(a).AsSlice(), Mask: net.CIDRMask(s.Subnet6.Bits()-1, 128)}
		six := &netlink.Addr{IPNet: wider, Flags: unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE}
		err = errors.Join(err, do(bridge, six))
	}
	return err
}

// steadyAddress has the bridge take its address of IPv6 at once. Kernels ask first whether anybody else has it, for which
// they wait until something is plugged in, and then for a second; nobody can listen there meanwhile.
func (s NetworkSpec) steadyAddress() error {
	if !s.Gateway6.IsValid() {
		return nil
	}
	bridge, err := netlink.LinkByName(s.Bridge)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the bridge %s: %w", s.Bridge, err)
	}
	addresses, err := netlink.AddrList(bridge, netlink.FAMILY_V6)
	if err != nil {
		return fmt.Errorf("addresses of the bridge %s: %w", s.Bridge, err)
	}
	for _, a := range addresses {
		if own, ok := netip.AddrFromSlice(a.IP); !ok || own != s.Gateway6 || a.Flags&unix.IFA_F_TENTATIVE == 0 {
			continue
		}
		again := &netlink.Addr{IPNet: a.IPNet, Flags: unix.IFA_F_NODAD}
		if err := errors.Join(netlink.AddrDel(bridge, &netlink.Addr{IPNet: a.IPNet}), netlink.AddrAdd(bridge, again)); err != nil {
			return fmt.Errorf("give the bridge %s its address %s: %w", s.Bridge, s.Gateway6, err)
		}
	}
	return nil
}

// differs says in words what is not as wanted, or nothing.
func (s NetworkSpec) differs(want NetworkSpec) string {
	switch {
	case s.Subnet != want.Subnet.Masked():
		return fmt.Sprintf("subnet %s in place of %s", s.Subnet, want.Subnet)
	case s.Gateway != want.Gateway:
		return fmt.Sprintf("gateway %s in place of %s", s.Gateway, want.Gateway)
	case want.Subnet6.IsValid() && (s.Subnet6 != want.Subnet6.Masked() || s.Gateway6 != want.Gateway6):
		return fmt.Sprintf("IPv6 subnet %s in place of %s", s.Subnet6, want.Subnet6)
	case !s.given.IsValid():
		return fmt.Sprintf("no IP range in place of %s", want.EngineRange())
	case s.given != want.EngineRange():
		return fmt.Sprintf("IP range %s in place of %s", s.given, want.EngineRange())
	case s.Bridge != want.Bridge:
		return fmt.Sprintf("bridge %q in place of %q", s.Bridge, want.Bridge)
	}
	return ""
}
