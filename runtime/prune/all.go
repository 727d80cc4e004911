package prune

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/kube-lite/kube-lite/runtime/volume"
)

// All takes away everything of an instance that its node agent made: its containers, killed without a grace
// period, and their control groups; the directory of its Pods below root, with what is mounted there; at last its
// network. No agent of the instance may run. What is gone already is fine, so it can be repeated. With
// docker.ErrEndpointMiscounted only the network is left.
func All(ctx context.Context, engine *docker.Engine, instanceName, root string) error {
	found, err := engine.List(ctx, docker.InstanceLabel(instanceName))
	if err != nil {
		return err
	}
	errs := make([]error, len(found))
	var wg sync.WaitGroup
	for n, c := range found {
		wg.Go(func() { errs[n] = engine.Remove(ctx, c.ID) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	groups := limits.RemoveGroups(usage.Cgroups{}, limits.InstancePath(instanceName))
	dirs := volume.RemoveTree(pods.Dirs{Root: root}.All())
	if dirs != nil {
		dirs = fmt.Errorf("remove the directory of pods: %w", dirs)
	}
	if err := errors.Join(groups, dirs); err != nil {
		return err
	}
	return engine.RemoveNetwork(ctx, docker.NetworkName(instanceName))
}
