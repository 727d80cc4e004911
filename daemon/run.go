package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/netproxy"
	"github.com/kube-lite/kube-lite/runtime"
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/store"
)

const (
	// startLimit is how long a start may take before it is given up.
	startLimit = 50 * time.Second
	// stopLimit is how long the end of pods may take: the default grace period
	// of a pod and then some. What is left is killed.
	stopLimit = 60 * time.Second
	// cleanLimit bounds the removal of rules and networks.
	cleanLimit = 30 * time.Second
)

// daemon is a start in progress and then what runs.
type daemon struct {
	cfg        Config
	settings   settings
	nodeName   string
	lock       *lock
	engine     *docker.Engine
	docker     docker.Info
	kernel     *netproxy.Kernel
	store      *store.Store
	encryption *apiserver.Encryption
	pki        *apiserver.PKI
	server     *apiserver.Server
	info       Info
	steps      *steps
	rooms      *rooms
	nodes      *nodes
	up         bool // the rooms are started: there may be pods and rules
}

// startGCPercent is GOGC while the daemon starts. Nearly all that it allocates then stays, and looking for garbage in it again and again
// takes a tenth of the processor time; what is garbage is given back by memoryReturner.
const startGCPercent = 800

// Run is the daemon: it returns when ctx has ended and everything has stopped,
// or with what keeps it from starting or running. A first start that fails
// leaves nothing behind.
func Run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return err
	}
	// Upstream's packages log through klog, which has no instances.
	// What they find worth an info is their own business.
	klog.SetSlogLogger(slog.New(upstream{cfg.Log.Handler()}))
	d := &daemon{
		cfg:   cfg,
		steps: &steps{report: cfg.Progress, log: cfg.Log, last: time.Now()},
		rooms: newRooms(ctx),
	}
	if err := d.preflight(ctx); err != nil {
		return err
	}
	defer d.engine.Close()
	if d.lock, err = acquire(cfg); err != nil {
		return err
	}
	defer d.lock.release()

	startCtx, cancel := context.WithTimeout(ctx, startLimit)
	usual := debug.SetGCPercent(startGCPercent)
	err = d.start(startCtx)
	debug.SetGCPercent(usual)
	cancel()
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-d.rooms.failed:
		}
	}
	return d.end(err)
}

// CheckRoot says whether this process may do what the daemon does.
func CheckRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("kube-lite sets up networks and iptables rules: run it as root, for example with sudo")
	}
	return nil
}

// preflight finds out what is missing before anything is made.
func (d *daemon) preflight(ctx context.Context) error {
	if err := CheckRoot(); err != nil {
		return err
	}
	if err := netproxy.Installed(netproxy.Mode(d.cfg.ProxyMode)); err != nil {
		return err
	}
	kept, _, err := loadSettings(d.cfg)
	if err != nil {
		return err
	}
	if d.engine, err = kept.connect(ctx, d.cfg); err != nil {
		return err
	}
	if d.docker, err = d.engine.Info(ctx); err != nil {
		return err
	}
	d.steps.done("Docker", d.engineDetail())
	return nil
}

// start brings up every room, in the order in which they need each other.
func (d *daemon) start(ctx context.Context) error {
	if err := d.settle(ctx); err != nil {
		return err
	}
	if err := runtime.CheckMounts(ctx, d.engine, d.cfg.DataDir, d.cfg.Log); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.openNetwork(groupCtx) })
	group.Go(d.openServer)
	group.Go(func() (err error) {
		d.kernel, err = netproxy.Find(groupCtx, d.cfg.Name, netproxy.Mode(d.cfg.ProxyMode), d.settings.hasIPv6(), d.cfg.Log)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	d.steps.done("store", d.cfg.path(storeFile))
	d.steps.done("pod network", d.info.PodCIDR)
	if err := d.serve(ctx); err != nil {
		return err
	}
	d.steps.done("API server", d.info.APIServer)
	if err := d.startRooms(ctx); err != nil {
		return err
	}
	names, err := d.waitNodes(ctx)
	if err != nil {
		return err
	}
	d.info.Ready = true
	if err := d.lock.describe(d.info); err != nil {
		return err
	}
	d.steps.ready("node", names)
	return nil
}

// engineDetail names the engine's address where the docker command would use another.
func (d *daemon) engineDetail() string {
	detail := "Engine " + d.docker.Version
	if usual, err := docker.ResolveHost(""); err != nil || usual != d.engine.Host() {
		detail += " at " + d.engine.Host()
	}
	return detail
}

// settle decides the ranges, and says who holds the data directory.
func (d *daemon) settle(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the machine's name: %w", err)
	}
	if d.settings, err = settleRanges(ctx, neighboursFile, DefaultRoot, d.cfg, host, func() ([]netip.Prefix, error) { return routedPrefixes(d.cfg.IPFamily) }); err != nil {
		return err
	}
	d.nodeName = d.settings.NodeName
	d.nodes = newNodes(d.cfg, d.nodeName, nodeRanges{d.network(), d.settings.ipFamilies()}, d.engine)
	if err := d.checkRoom(); err != nil {
		return err
	}
	if d.settings.DockerHost == "" {
		d.settings.DockerHost = d.engine.Host()
		if err := d.settings.save(d.cfg); err != nil {
			return err
		}
	}
	if d.settings.DockerHost != d.engine.Host() { // another start has settled it since preflight read it
		return fmt.Errorf("another start of this instance used the Docker engine at %s: start it again", d.settings.DockerHost)
	}
	d.info = Info{
		Name: d.cfg.Name, Version: d.cfg.Version, PID: os.Getpid(), Started: time.Now(), Node: d.nodeName,
		DataDir: d.cfg.DataDir, Docker: d.docker.Version, DockerHost: d.engine.Host(),
	}
	d.info.PodCIDR, d.info.ServiceCIDR = d.settings.texts()
	return d.lock.describe(d.info)
}

// gateways are the pod bridge's own addresses, that of the primary family first.
func (d *daemon) gateways() (all []netip.Addr) {
	for _, f := range d.settings.families() {
		all = append(all, f.gateway())
	}
	return all
}

func (d *daemon) openNetwork(ctx context.Context) error {
	if d.settings.hasIPv6() { // the engine would switch it on, and let the host's routes go
		if err := netproxy.ForwardIPv6(); err != nil {
			return err
		}
	}
	return d.engine.EnsureNetwork(ctx, d.network())
}

// network is that of the instance's pods.
func (d *daemon) network() docker.NetworkSpec { return d.settings.network(d.cfg.Name) }

// end stops what runs, and takes a first start back that failed.
func (d *daemon) end(cause error) error {
	// The caller's context is over, or the start was; cleaning up has its own.
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	errs := []error{cause, d.describeEnd(), d.stopRooms(ctx)}
	if d.server != nil {
		d.server.Close()
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	if d.encryption != nil {
		d.encryption.Close()
	}
	if cause != nil && d.settings.fresh && !d.info.Ready {
		errs = append(errs, d.takeBack())
	}
	d.cfg.Log.Info("stopped")
	return errors.Join(errs...)
}

// describeEnd says that from now on there is nothing but the end to wait for.
func (d *daemon) describeEnd() error {
	info := d.info
	info.Ready, info.Stopping = false, true
	return d.lock.describe(info)
}

// takeBack removes what a first start had made.
func (d *daemon) takeBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanLimit)
	defer cancel()
	return errors.Join(
		d.engine.RemoveNetwork(ctx, docker.NetworkName(d.cfg.Name)),
		removeFiles(d.cfg, slog.New(slog.DiscardHandler)),
	)
}
