package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/hostdns"
)

// hostDNSFile is in the data directory while the user wants this machine to find the cluster's names. It is a file of its own: the
// running daemon owns instance.json, and a reset has no API to read a ConfigMap with.
const hostDNSFile = "host-dns"

const (
	// hostDNSLock is held by whoever changes the machine's resolver. It stays: removing it would let two processes hold a lock
	// of the same name.
	hostDNSLock = "/run/kube-lite.dns"
	// hostDNSPatience is far beyond what a change takes, whose commands are bounded.
	hostDNSPatience = 20 * time.Second
)

// lockHostDNS waits until nobody else changes the machine's resolver. The caller calls unlock.
func (c Config) lockHostDNS(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, hostDNSPatience)
	defer cancel()
	file, err := waitForLock(ctx, filepath.Join("/", c.root, hostDNSLock), "another kube-lite changes the machine's resolver")
	if err != nil {
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// EnableHostDNS leads the names of the running instance's domain to it on this machine, now and after each start, until
// DisableHostDNS. It returns what does that. The error matches ErrNotRunning when the instance is not up.
func EnableHostDNS(ctx context.Context, cfg Config) (how string, err error) {
	if err := CheckRoot(); err != nil {
		return "", err
	}
	unlock, err := cfg.lockHostDNS(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	// Behind the lock: a daemon that stops says so before it waits for the lock to take this back.
	info, running, err := Lookup(cfg)
	if err != nil {
		return "", err
	}
	if !running || !info.Ready {
		return "", ErrNotRunning
	}
	cluster := hostCluster(cfg)
	if cluster.Server, err = netip.ParseAddrPort(info.DNS); err != nil {
		return "", fmt.Errorf("the daemon is of another version of kube-lite and does not say where its DNS server is: stop it and start it again: %w", err)
	}
	if how, err = cfg.machine().Enable(ctx, cluster); err != nil {
		return "", err
	}
	if err := os.WriteFile(cfg.path(hostDNSFile), []byte("enabled\n"), 0o644); err != nil {
		_, undo := cfg.machine().Disable(ctx, cluster)
		return "", errors.Join(err, undo)
	}
	return how, nil
}

// DisableHostDNS takes back what EnableHostDNS did, whether the instance runs or not. had is false when nothing was; note says
// what is not as it was before.
func DisableHostDNS(ctx context.Context, cfg Config) (had bool, note string, err error) {
	if err := CheckRoot(); err != nil {
		return false, "", err
	}
	unlock, err := cfg.lockHostDNS(ctx)
	if err != nil {
		return false, "", err
	}
	defer unlock()
	cluster := hostCluster(cfg)
	how, err := cfg.machine().State(ctx, cluster)
	if err != nil {
		return false, "", err
	}
	if note, err = cfg.machine().Disable(ctx, cluster); err != nil {
		return false, "", err
	}
	err = os.Remove(cfg.path(hostDNSFile))
	had = how != "" || err == nil
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return had, note, err
}

// HostDNS tells whether the user wants this machine to find the instance's names, and what leads them there now, if anything does.
func HostDNS(ctx context.Context, cfg Config) (wanted bool, how string, err error) {
	how, err = cfg.machine().State(ctx, hostCluster(cfg))
	return wantsHostDNS(cfg), how, err
}

func wantsHostDNS(cfg Config) bool {
	_, err := os.Stat(cfg.path(hostDNSFile))
	return err == nil
}

// machine is where host DNS is changed.
func (c Config) machine() hostdns.Machine { return hostdns.Machine{Root: c.root} }

// hostCluster is what the settings know of the instance; the DNS server's address only its daemon does.
func hostCluster(cfg Config) hostdns.Cluster {
	c := hostdns.Cluster{Instance: cfg.Name, Link: bridgeName(cfg.Name), Domain: clusterDomain}
	if kept := keptSettings(cfg); kept.ServiceCIDR.IsValid() {
		c.Service = apiserver.DNSIP(kept.ServiceCIDR)
	}
	return c
}

// enableHostDNS does again at a start what a stop took back and what went with the bridge. The machine may have changed since: that is
// no reason not to start.
func (d *daemon) enableHostDNS(ctx context.Context, server netip.AddrPort) {
	if !wantsHostDNS(d.cfg) {
		return
	}
	unlock, err := d.cfg.lockHostDNS(ctx)
	if err == nil {
		defer unlock()
		cluster := hostCluster(d.cfg)
		cluster.Server = server
		_, err = d.cfg.machine().Enable(ctx, cluster)
	}
	if err != nil {
		d.cfg.Log.Warn("programs of this machine do not find the cluster's names, though \"dns enable\" wants it", "error", err)
	}
}

// disableHostDNS lets the machine ask nobody who does not answer. The wish stays.
func disableHostDNS(ctx context.Context, cfg Config) error {
	unlock, err := cfg.lockHostDNS(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if !wantsHostDNS(cfg) { // behind the lock: an enable may be on its way
		return nil
	}
	note, err := cfg.machine().Disable(ctx, hostCluster(cfg))
	if note != "" {
		cfg.Log.Info(note)
	}
	return err
}
