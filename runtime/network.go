package runtime

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
)

// The Pods are on the bridge of a Docker network, but most are no members of it: Docker starts
// a sandbox without any network in two thirds of the time, and the rest takes us little.
// See docs/decisions/pods-on-the-bridge.md.

// bridge is where the Pods are reached.
type bridge struct {
	network  docker.NetworkSpec
	families []v1.IPFamily
	hostIPs  func() pods.IPs // the node's addresses
	plug     func(docker.Container, docker.BridgePort) error
}

func (a *Agent) bridge() bridge {
	return bridge{a.opts.Network, a.opts.families(), a.hostIPs, a.engine.ConnectBridge}
}

// connect gives a running sandbox its place on the bridge, unless it has one or Docker did.
func (b bridge) connect(sandbox pods.Instance) error {
	if sandbox.Network != docker.NoNetwork {
		return nil
	}
	n := b.network
	port := docker.BridgePort{Bridge: n.Bridge, Address: netip.PrefixFrom(sandbox.Address, n.Subnet.Bits()), Gateway: n.Gateway}
	if slices.Contains(b.families, v1.IPv6Protocol) {
		port.Address6, port.Gateway6 = netip.PrefixFrom(n.Address6(sandbox.Address), n.Subnet6.Bits()), n.Gateway6
		port.Only6 = len(b.families) == 1
	}
	return b.plug(sandbox.Container, port)
}

// keepNetwork makes the Pods' network again when somebody removed it: to `docker network prune`
// it looks unused.
func (a *Agent) keepNetwork(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { a.engine.WatchNetwork(ctx, a.opts.Network.Name, a.checkNetwork); return nil })
	group.Go(func() error {
		var retry <-chan time.Time
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-a.networkCheck:
			case <-retry:
			}
			retry = nil
			if err := a.repairNetwork(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("the network of the pods is not whole", "error", err)
				retry = time.After(unavailableRetry)
			}
		}
	})
	return group.Wait()
}

// checkNetwork has the network checked, and repaired.
func (a *Agent) checkNetwork() { notify(a.networkCheck) }

// repairNetwork makes the network unless it is there, and connects whoever is not.
func (a *Agent) repairNetwork(ctx context.Context) error {
	if err := a.engine.EnsureNetwork(ctx, a.opts.Network); err != nil {
		return err
	}
	if !a.mirror.Ready() {
		return nil // when it is we are asked again
	}
	var errs []error
	_, sandboxes := a.mirror.Running()
	for _, sandbox := range sandboxes {
		err := a.bridge().connect(sandbox)
		if now, ok := a.mirror.Get(sandbox.ID); ok && now.Running() { // or else it need not be any more
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
