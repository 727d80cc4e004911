package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
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
	found, err := a.engine.List(ctx, docker.InstanceLabel(a.opts.Instance))
	if err != nil {
		return err
	}
	var containers, sandboxes []instance
	for _, c := range found {
		if i, ok := fromLabels(c); ok && c.Running() {
			if i.isSandbox() {
				sandboxes = append(sandboxes, i)
			} else {
				containers = append(containers, i)
			}
		}
	}
	grace := a.gracePeriods()
	err = eachAtOnce(containers, func(i instance) error { return a.engine.Stop(ctx, i.ID, grace(i.ref)) })
	// A sandbox ends at once on SIGTERM; the grace period is for one that hangs.
	return errors.Join(err, eachAtOnce(sandboxes, func(i instance) error { return a.engine.Stop(ctx, i.ID, sandboxGrace) }))
}

// sandboxGrace is what a sandbox gets to end.
const sandboxGrace = 2 * time.Second

// gracePeriods looks the Pods' grace periods up; a Pod that is gone gets the default.
func (a *Agent) gracePeriods() func(podRef) time.Duration {
	known := map[types.UID]time.Duration{}
	for _, pod := range a.allPods() {
		known[pod.UID] = gracePeriod(pod)
	}
	return func(ref podRef) time.Duration {
		if grace, ok := known[ref.uid]; ok {
			return grace
		}
		return v1.DefaultTerminationGracePeriodSeconds * time.Second
	}
}

// eachAtOnce does something with all of them at once and waits. What is gone is fine.
func eachAtOnce(list []instance, do func(instance) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for n, i := range list {
		wg.Go(func() {
			if err := do(i); err != nil && !docker.IsNotFound(err) {
				errs[n] = fmt.Errorf("pod %s, container %s: %w", i.ref, i.container, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
