package prune

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/kube-lite/kube-lite/runtime/volume"
	"k8s.io/apimachinery/pkg/types"
)

// Node takes away everything that the agent of an added node made: its containers, killed without a grace period, with
// the control groups of its Pods and their directory in that of the instance. The agent must not run. What is gone already is
// fine.
func Node(ctx context.Context, engine *docker.Engine, instanceName, node, root string) error {
	if err := Containers(ctx, engine, instanceName, node); err != nil {
		return err
	}
	dir := pods.NodeRoot(root, node)
	entries, err := os.ReadDir(pods.Dirs{Root: dir}.All())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, limits.RemoveGroups(usage.Cgroups{}, limits.PodPath(instanceName, types.UID(e.Name()))))
	}
	return errors.Join(append(errs, volume.RemoveTree(dir))...)
}

// Containers removes the containers of a node, killed without a grace period; "" is the node that the instance began with.
func Containers(ctx context.Context, engine *docker.Engine, instanceName, node string) error {
	owner := pods.Owner{Instance: instanceName, Node: node}
	found, err := engine.List(ctx, owner.Filter())
	if err != nil {
		return err
	}
	return remove(ctx, engine, slices.DeleteFunc(found, func(c docker.Container) bool { return !owner.Has(c.Labels) }))
}

// remove removes containers, all at once.
func remove(ctx context.Context, engine *docker.Engine, containers []docker.Container) error {
	errs := make([]error, len(containers))
	var wg sync.WaitGroup
	for n, c := range containers {
		wg.Go(func() { errs[n] = engine.Remove(ctx, c.ID) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// All takes away everything of an instance that its node agent made: its containers, killed without a grace
// period, and their control groups; the directory of its Pods below root, with what is mounted there; at last its
// network. No agent of the instance may run. What is gone already is fine, so it can be repeated. With
// docker.ErrEndpointMiscounted only the network is left.
func All(ctx context.Context, engine *docker.Engine, instanceName, root string) error {
	found, err := engine.List(ctx, docker.InstanceLabel(instanceName))
	if err != nil {
		return err
	}
	if err := remove(ctx, engine, found); err != nil {
		return err
	}
	groups := limits.RemoveGroups(usage.Cgroups{}, limits.InstancePath(instanceName))
	var dirs []error
	for _, dir := range pods.NodeRoots(root) {
		if err := volume.RemoveTree(pods.Dirs{Root: dir}.All()); err != nil {
			dirs = append(dirs, fmt.Errorf("remove the directory of pods: %w", err))
		}
	}
	if err := errors.Join(append(dirs, groups)...); err != nil {
		return err
	}
	return engine.RemoveNetwork(ctx, docker.NetworkName(instanceName))
}
