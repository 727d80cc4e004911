package hostdns

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
)

// ErrTaken says that the names lead to another instance already.
var ErrTaken = errors.New("on this machine the names of the cluster's domain are another instance's")

// Machine is the machine whose resolver is changed, by one caller at a time. The zero value is this one.
type Machine struct {
	// Root is where its files are; default /. Tests have others.
	Root string
}

// Cluster is whose names are to be found.
type Cluster struct {
	Instance string // as in --name
	Link     string // the device of its pod bridge
	Domain   string // without a final dot
	// Server answers for the domain, and for all other names too: resolv.conf cannot tell them apart.
	Server netip.AddrPort
	// Service is an address at which Server answers on port 53, whatever its own port is: resolv.conf cannot name another.
	Service netip.Addr
}

func (m Machine) path(name string) string { return filepath.Join("/", m.Root, name) }

// Enable leads the domain's names to the cluster's server, and returns what does that: "systemd-resolved" or a file's name. Doing it twice
// changes nothing. The error matches ErrTaken when another instance has them.
func (m Machine) Enable(ctx context.Context, c Cluster) (how string, err error) {
	text, err := m.readResolvConf()
	if err != nil {
		return "", err
	}
	if asksResolved(text) {
		return resolved, m.route(ctx, c)
	}
	return resolvConf, m.insert(c, text)
}

// Disable takes back what Enable did, in whichever way it was done. It succeeds when nothing was; note says what is not as it was before.
func (m Machine) Disable(ctx context.Context, c Cluster) (note string, err error) {
	if err := m.unroute(ctx, c); err != nil {
		return "", err
	}
	text, err := m.readResolvConf()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	switch ownerOf(text) {
	case c.Instance:
		return m.restore(text)
	case "":
		return m.forget()
	}
	return "", nil
}

// State returns what leads the domain's names to the cluster, as Enable does, or "".
func (m Machine) State(ctx context.Context, c Cluster) (how string, err error) {
	text, err := m.readResolvConf()
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if ownerOf(text) == c.Instance {
		return resolvConf, nil
	}
	if !asksResolved(text) {
		return "", nil
	}
	links, err := m.routes(ctx, c.Domain)
	if err != nil || !slices.Contains(links, c.Link) {
		return "", err
	}
	return resolved, nil
}
