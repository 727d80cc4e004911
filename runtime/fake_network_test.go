package runtime

import (
	"context"
	"errors"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

func (f *fakeEngine) EnsureNetwork(ctx context.Context, _ docker.NetworkSpec) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errFakeDown
	}
	f.networks++
	return ctx.Err()
}

func (f *fakeEngine) WatchNetwork(ctx context.Context, _ string, gone func()) {
	f.mu.Lock()
	f.netGone = gone
	f.mu.Unlock()
	<-ctx.Done()
}

func (f *fakeEngine) ConnectBridge(c docker.Container, p docker.BridgePort) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	have, err := f.find(c.ID)
	if err != nil {
		return err
	}
	if !have.Running() {
		return errors.New("it is not running")
	}
	other := f.ports[p.Address.Addr()]
	if other != nil && other != have && other.Running() && other.port.Address == p.Address {
		return errors.New(p.Address.String() + " is taken by " + other.Name)
	}
	have.port, f.ports[p.Address.Addr()] = p, have
	return nil
}

// loseNetwork is somebody who removes the network, and all ports of its bridge with it.
func (f *fakeEngine) loseNetwork() {
	f.mu.Lock()
	for _, c := range f.containers {
		c.port = docker.BridgePort{}
	}
	gone := f.netGone
	f.mu.Unlock()
	gone()
}

// port is where a container is connected.
func (f *fakeEngine) port(name string) docker.BridgePort {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byName(name).port
}
