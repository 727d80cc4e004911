package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/kube-lite/kube-lite/runtime/volume"
)

// Remove takes away everything of an instance that this room made: its containers,
// killed without a grace period, and their control groups; the directory of its Pods below root, with what is
// mounted there; at last its network. No agent of the instance may run. What is gone already is
// fine, so it can be repeated. With docker.ErrEndpointMiscounted only the network is left.
func Remove(ctx context.Context, engine *docker.Engine, instanceName, root string) error {
	found, err := engine.List(ctx, docker.InstanceLabel(instanceName))
	if err != nil {
		return err
	}
	var all []pods.Instance
	for _, c := range found {
		i, _ := pods.InstanceOf(c)
		i.Container = c
		all = append(all, i)
	}
	if err := eachAtOnce(all, func(i pods.Instance) error { return engine.Remove(ctx, i.ID) }); err != nil {
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
