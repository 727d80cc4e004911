package netproxy

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// host keeps what the rules stand on: the service CIDR's route and the kernel settings.
type host struct {
	bridge      string
	serviceCIDR netip.Prefix
	log         *slog.Logger
	told        map[string]bool // what was warned about already
	index       int             // of the bridge when it was last looked at; 0: never
}

// ensure makes all of it so, writing only what differs. It returns whether iptables sees what the bridge switches.
func (h *host) ensure() (switchedSeen bool, err error) {
	link, err := netlink.LinkByName(h.bridge)
	if err != nil {
		return false, fmt.Errorf("finding the pods' bridge %s: %w", h.bridge, err)
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return false, fmt.Errorf("the pods' bridge %s is down", h.bridge)
	}
	h.index = link.Attrs().Index
	if err := h.forward(); err != nil {
		return false, err
	}
	switchedSeen = h.showSwitched()
	if switchedSeen {
		h.hairpin()
	}
	return switchedSeen, h.ensureRoute(link)
}

// family is that of the route.
func (h *host) family() family { return family{h.serviceCIDR.Addr().Is6()} }

// forward has this machine pass on what goes from and to Pods.
func (h *host) forward() error {
	if h.family() == ipv6 {
		return ForwardIPv6()
	}
	if err := set("/proc/sys/net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	// Packets from 127.0.0.1 leave through the bridge, and their replies come back there.
	if err := set(h.conf(h.bridge, "route_localnet"), "1"); err != nil {
		return err
	}
	h.quietRedirects()
	return nil
}

// ForwardIPv6 has this machine forward IPv6. Kernels forget routes that routers have advertised when they begin to, and
// listen to no more of them, but at devices that are to listen all the same. So does the default route of a laptop stay.
// Call it before an engine makes a network of IPv6, which switches forwarding on without that.
// https://docs.kernel.org/networking/ip-sysctl.html (accept_ra)
func ForwardIPv6() error {
	const all = "/proc/sys/net/ipv6/conf/all/forwarding"
	if read(all) == "1" {
		return nil
	}
	devices, _ := filepath.Glob("/proc/sys/net/ipv6/conf/*/accept_ra")
	for _, accept := range devices {
		if read(accept) != "1" { // nobody listens, or somebody chose
			continue
		}
		if err := set(accept, "2"); err != nil && !errors.Is(err, fs.ErrNotExist) { // a device may be gone meanwhile
			return err
		}
	}
	return set(all, "1")
}

// routeProtocol marks our routes, so that one of an earlier start with another service CIDR is known for ours.
// The number is free: see rtnetlink(7).
const routeProtocol = 75

// ensureRoute sends the service CIDR to the bridge. Without it a machine that has no default gateway could not even
// send to a ClusterIP; with it, what no rule translates never leaves the machine. Another's route to the same range
// is an error, not overwritten.
func (h *host) ensureRoute(link netlink.Link) error {
	ours, err := h.routes(link)
	if err != nil {
		return err
	}
	want := h.route(link)
	for _, r := range ours {
		if r.Dst.String() == want.Dst.String() {
			return nil
		}
	}
	if err := netlink.RouteAdd(want); err != nil {
		return fmt.Errorf("routing the service CIDR %s to %s: %w", h.serviceCIDR, h.bridge, err)
	}
	return h.removeRoutes(ours)
}

// routes are ours to this bridge: marked so, or to the service CIDR.
func (h *host) routes(link netlink.Link) ([]netlink.Route, error) {
	all, err := netlink.RouteListFiltered(h.family().netlink(), &netlink.Route{LinkIndex: link.Attrs().Index}, netlink.RT_FILTER_OIF)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing the routes to %s: %w", h.bridge, err)
	}
	return slices.DeleteFunc(all, func(r netlink.Route) bool {
		return r.Dst == nil || r.Protocol != routeProtocol && r.Dst.String() != h.serviceCIDR.Masked().String()
	}), nil
}

func (h *host) removeRoutes(routes []netlink.Route) error {
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("removing the route %s to %s: %w", r.Dst, h.bridge, err)
		}
	}
	return nil
}

func (h *host) route(link netlink.Link) *netlink.Route {
	masked := h.serviceCIDR.Masked()
	dst := &net.IPNet{IP: masked.Addr().AsSlice(), Mask: net.CIDRMask(masked.Bits(), masked.Addr().BitLen())}
	return &netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK, Protocol: routeProtocol}
}

// quietRedirects stops ICMP redirects on the bridge. A pod that calls a ClusterIP without endpoints would get one
// just before the refusal, and the kernel then holds the refusal back: one ICMP error a second for each host.
// The kernel sends them while either of the two settings is on; the other devices have one of their own.
func (h *host) quietRedirects() {
	for _, device := range []string{h.bridge, "all"} {
		h.warn(set(h.conf(device, "send_redirects"), "0"), "cannot stop ICMP redirects; UDP to Services without endpoints is refused late")
	}
}

// showSwitched has iptables see what the bridge switches between pods, on our bridge only where that can be: others,
// such as libvirt's, are often kept from iptables on purpose.
func (h *host) showSwitched() bool {
	all := "/proc/sys/net/bridge/bridge-nf-call-" + h.family().iptables()
	if _, err := os.Stat(all); errors.Is(err, fs.ErrNotExist) {
		// Missing where the kernel has it built in, or no modules at all: then the file tells.
		_ = exec.Command("modprobe", "br_netfilter").Run()
	}
	if read(all) == "1" {
		return true
	}
	err := set(filepath.Join("/sys/class/net", h.bridge, "bridge/nf_call_"+h.family().iptables()), "1")
	if _, missing := os.Stat(all); err != nil || missing != nil {
		err = set(all, "1")
	}
	h.warn(err, "iptables cannot see what the pods' bridge switches; pods get Service traffic from the gateway's address")
	return err == nil
}

// hairpin lets the bridge send a frame back where it came from: what a pod sends to itself through its own Service
// is translated while it is being switched.
func (h *host) hairpin() {
	ports, _ := filepath.Glob(filepath.Join("/sys/class/net", h.bridge, "brif/*/hairpin_mode"))
	for _, port := range ports {
		if err := set(port, "1"); err != nil && !errors.Is(err, fs.ErrNotExist) { // a pod may have ended meanwhile
			h.warn(err, "a pod cannot reach itself through its own Service")
		}
	}
}

// warn logs each sentence once.
func (h *host) warn(err error, sentence string) {
	if err == nil || h.told[sentence] {
		return
	}
	h.told[sentence] = true
	h.log.Warn(sentence, "bridge", h.bridge, "err", err)
}

func (h *host) conf(device, key string) string {
	return filepath.Join("/proc/sys/net/ipv4/conf", device, key)
}

func read(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// set writes a kernel setting unless it has the value already: in a container it may be right and read-only.
func set(path, value string) error {
	if read(path) == value {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("setting %s to %s: %w", path, value, err)
	}
	defer f.Close()
	if _, err := f.WriteString(value); err != nil {
		return fmt.Errorf("setting %s to %s: %w", path, value, err)
	}
	return nil
}

// cleanup takes our routes from the bridge. Nothing there is fine.
func (h *host) cleanup() error {
	if h.bridge == "" {
		return nil
	}
	link, err := netlink.LinkByName(h.bridge)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil // and its routes with it
	}
	if err != nil {
		return fmt.Errorf("finding the pods' bridge %s: %w", h.bridge, err)
	}
	routes, err := h.routes(link)
	if err != nil {
		return err
	}
	return h.removeRoutes(routes)
}
