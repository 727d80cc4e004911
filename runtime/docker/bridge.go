package docker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NoNetwork is the ContainerSpec.Network of a container that has nothing but a loopback
// device, until it is connected to a bridge.
const NoNetwork = "none"

// insideDevice is what a container calls its network device, as Docker has it.
const insideDevice = "eth0"

// BridgePort is where a container is plugged in.
type BridgePort struct {
	Bridge  string       // the device's name
	Address netip.Prefix // the container's own, with the length of the network's prefix
	Gateway netip.Addr

	Address6 netip.Prefix // the same of IPv6; the zero Prefix: none
	Gateway6 netip.Addr
	Only6    bool // no address of IPv4, only the hardware address that follows from it
}

// addresses are those that the container gets, with the gateway of each.
func (p BridgePort) addresses() map[netip.Prefix]netip.Addr {
	all := map[netip.Prefix]netip.Addr{}
	if !p.Only6 {
		all[p.Address] = p.Gateway
	}
	if p.Address6.IsValid() {
		all[p.Address6] = p.Gateway6
	}
	return all
}

// ConnectBridge gives a running container that was created with NoNetwork a device on a
// bridge, an address and a default route. To do it again is cheap, and mends what an attempt
// that was cut off has left; a container whose bridge was made anew keeps its device. The
// device goes with the container.
//
// It is what the engine's own bridge driver does for a member of a network, less the name
// server, the rules for it and the records which that keeps of every member. The engine must
// run on this machine, and we as root.
func (e *Engine) ConnectBridge(c Container, p BridgePort) error {
	e.connecting.Lock()
	defer e.connecting.Unlock()
	if err := connectBridge(c, p); err != nil {
		return fmt.Errorf("connect container %s to %s: %w", short(c.ID), p.Bridge, err)
	}
	return nil
}

func connectBridge(c Container, p BridgePort) error {
	bridge, err := netlink.LinkByName(p.Bridge)
	if err != nil {
		return err
	}
	outside := outsideDevice(c.ID)
	switch found, err := netlink.LinkByName(outside); {
	case err == nil && found.Attrs().MasterIndex == bridge.Attrs().Index:
		return nil // which was the last step
	case err == nil && found.Attrs().Flags&net.FlagUp != 0: // the last but one: its bridge was removed
		return plugIn(found, bridge)
	case err == nil:
		if err := netlink.LinkDel(found); err != nil {
			return fmt.Errorf("remove %s: %w", outside, err)
		}
	case !errors.As(err, new(netlink.LinkNotFoundError)):
		return err
	}
	ns, err := networkNamespace(c)
	if err != nil {
		return err
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = outside, bridge.Attrs().MTU
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: insideDevice,
		PeerHardwareAddr: hardwareAddr(p.Address.Addr()), PeerNamespace: netlink.NsFd(ns.Fd())}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make %s: %w", outside, err)
	}
	inside, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter its namespace: %w", err)
	}
	defer inside.Close()
	if err := configure(inside, p); err != nil {
		return fmt.Errorf("configure its %s: %w", insideDevice, err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return fmt.Errorf("set up %s: %w", outside, err)
	}
	return plugIn(pair, bridge)
}

func plugIn(outside, bridge netlink.Link) error {
	if err := netlink.LinkSetMaster(outside, bridge); err != nil {
		return fmt.Errorf("plug in %s: %w", outside.Attrs().Name, err)
	}
	return nil
}

// configure sets up the container's end of the pair.
func configure(inside *netlink.Handle, p BridgePort) error {
	device, err := inside.LinkByName(insideDevice)
	if err != nil {
		return err
	}
	// No address by which neighbours would try: it is given those that it is to have.
	if err := inside.LinkSetIP6AddrGenMode(device, nl.IN6_ADDR_GEN_MODE_NONE); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("leave it without an IPv6 address: %w", err)
	}
	for own := range p.addresses() {
		address := &netlink.Addr{IPNet: &net.IPNet{IP: own.Addr().AsSlice(), Mask: net.CIDRMask(own.Bits(), own.Addr().BitLen())}}
		if own.Addr().Is6() {
			address.Flags = unix.IFA_F_NODAD // nobody else has it, and nothing shall wait
		}
		if err := inside.AddrAdd(device, address); err != nil {
			return fmt.Errorf("address %s: %w", own, err)
		}
	}
	if err := inside.LinkSetUp(device); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	for _, gateway := range p.addresses() {
		if err := inside.RouteAdd(&netlink.Route{LinkIndex: device.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
			return fmt.Errorf("route by %s: %w", gateway, err)
		}
	}
	return nil
}

// outsideDevice is the name of this machine's end of the pair. Network managers leave alone
// what is called so; the kernel takes 15 bytes at most.
func outsideDevice(id string) string {
	return "veth" + id[:11]
}

// hardwareAddr follows from the address, as with Docker before Engine 28: neighbours that
// remember an earlier container of the same address are right.
func hardwareAddr(addr netip.Addr) net.HardwareAddr {
	b := addr.As4()
	return net.HardwareAddr{0x02, 0x42, b[0], b[1], b[2], b[3]}
}
