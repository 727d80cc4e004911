package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/plan"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// StopPods stops the containers of all Pods, each with its Pod's grace period, then the
// sandboxes. The objects stay: at the next start the Pods run again, as after a reboot of
// the node, each restart counted once. From this call on the agent starts nothing more,
// whether Run still runs or not.
func (a *Agent) StopPods(ctx context.Context) error {
	a.stopping.Store(true)
	a.workers.stop() // what is being started now is stopped below
	found, err := a.engine.List(ctx, a.opts.owner().Filter())
	if err != nil {
		return err
	}
	byPod := map[types.UID][]pods.Instance{}
	var sandboxes []pods.Instance
	for _, c := range found {
		if i, ok := pods.InstanceOf(c); ok && a.opts.owner().Has(c.Labels) && (c.Running() || a.maybeStarting(i)) {
			if i.IsSandbox() {
				sandboxes = append(sandboxes, i)
			} else {
				byPod[i.Pod.UID] = append(byPod[i.Pod.UID], i)
			}
		}
	}
	err = eachAtOnce(slices.Collect(maps.Values(byPod)), func(list []pods.Instance) error { return a.stopPod(ctx, list) })
	// A sandbox ends at once on SIGTERM; the grace period is for one that hangs.
	err = errors.Join(err, eachAtOnce(sandboxes, func(i pods.Instance) error {
		return about(i, a.engine.Stop(ctx, i.ID, sandboxGrace))
	}))
	return errors.Join(err, a.removeGroups(), a.files.UnmountAll())
}

// removeGroups removes the control groups of all Pods that have a directory, and the one around those of the instance's Pods
// unless another node has Pods in it.
func (a *Agent) removeGroups() error {
	entries, err := os.ReadDir(a.dirs.All())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the directory of pods: %w", err)
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, limits.RemoveGroups(a.cgroups, limits.PodPath(a.opts.Instance, types.UID(e.Name()))))
	}
	return errors.Join(append(errs, limits.RemoveUnused(a.cgroups, limits.InstancePath(a.opts.Instance)))...)
}

// maybeStarting tells of a container whose start was given up: Docker may start it still, and then
// stops it if it is asked to.
func (a *Agent) maybeStarting(i pods.Instance) bool {
	_, unanswered := a.acts.unanswered.Load(i.ID)
	return unanswered && !i.Ended()
}

// stopPod stops a Pod's running containers, with their preStop hooks and in the order of
// a Pod's end.
func (a *Agent) stopPod(ctx context.Context, list []pods.Instance) error {
	pod := a.declared(list[0].Pod)
	if pod == nil {
		pod = &v1.Pod{} // it was deleted meanwhile
	}
	grace, podIP := pods.GracePeriod(pod), a.addressOf(pod, a.mirror.Pod(list[0].Pod.UID))
	deadline := a.now().Add(grace)
	stop := func(i pods.Instance) error {
		if c := pods.Container(pod, i.ContainerName); hasPreStop(c) && grace > 0 {
			a.preStop(ctx, pod, c, i, podIP, grace)
		}
		return about(i, a.engine.Stop(ctx, i.ID, max(deadline.Sub(a.now()), min(grace, leastGrace))))
	}
	var errs []error
	for len(list) > 0 {
		var next, later []pods.Instance
		for _, i := range list {
			if itsTurn(pod, i, plan.Ends(list)) {
				next = append(next, i)
			} else {
				later = append(later, i)
			}
		}
		errs = append(errs, eachAtOnce(next, stop))
		list = later
	}
	return errors.Join(errs...)
}

// sandboxGrace is what a sandbox gets to end.
const sandboxGrace = 2 * time.Second

// about says whose container could not be stopped. What is gone is fine.
func about(i pods.Instance, err error) error {
	if err == nil || docker.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("pod %s, container %s: %w", i.Pod, i.ContainerName, err)
}

// eachAtOnce does something with all of them at once and waits.
func eachAtOnce[T any](list []T, do func(T) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for n, one := range list {
		wg.Go(func() { errs[n] = do(one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
