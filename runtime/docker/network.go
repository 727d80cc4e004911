package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/vishvananda/netlink"
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

	given netip.Prefix // EngineRange of a network that there is
}

// EngineRange is the part of Subnet that the engine gives to containers which name no address:
// the last quarter. The rest is for whoever made the network.
func (s NetworkSpec) EngineRange() netip.Prefix {
	b := s.Subnet.Masked().Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | 3<<(30-s.Subnet.Bits())
	binary.BigEndian.PutUint32(b[:], n)
	return netip.PrefixFrom(netip.AddrFrom4(b), s.Subnet.Bits()+2)
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
			return nil
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
		if prefix, err := netip.ParsePrefix(c.Subnet); err == nil && prefix.Addr().Is4() {
			spec.Subnet = prefix
			spec.Gateway, _ = netip.ParseAddr(c.Gateway)
			spec.given, _ = netip.ParsePrefix(c.IPRange)
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
	_, err := e.cli.NetworkCreate(ctx, spec.Name, network.CreateOptions{
		Driver:  "bridge",
		Labels:  spec.Labels,
		Options: map[string]string{bridgeNameOption: spec.Bridge},
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{
			{Subnet: spec.Subnet.String(), Gateway: spec.Gateway.String(), IPRange: spec.EngineRange().String()},
		}},
	})
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
	return nil
}

// differs says in words what is not as wanted, or nothing.
func (s NetworkSpec) differs(want NetworkSpec) string {
	switch {
	case s.Subnet != want.Subnet.Masked():
		return fmt.Sprintf("subnet %s in place of %s", s.Subnet, want.Subnet)
	case s.Gateway != want.Gateway:
		return fmt.Sprintf("gateway %s in place of %s", s.Gateway, want.Gateway)
	case !s.given.IsValid():
		return fmt.Sprintf("no IP range in place of %s", want.EngineRange())
	case s.given != want.EngineRange():
		return fmt.Sprintf("IP range %s in place of %s", s.given, want.EngineRange())
	case s.Bridge != want.Bridge:
		return fmt.Sprintf("bridge %q in place of %q", s.Bridge, want.Bridge)
	}
	return ""
}
