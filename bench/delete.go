package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// deletedPods is how many pods are deleted at once.
const deletedPods = 60

// removers are how many containers Docker is asked to remove at once; the fastest is the yardstick.
var removers = []int{4, 16, 120}

// deleteRace has kube-lite delete pods, and Docker alone remove the same containers, in turns: members of no network, as
// those are. Their program ends as soon as it is told to: how long an app takes to finish its work is the app's own.
type deleteRace struct {
	podRace
	ours   []float64
	theirs map[int][]float64 // by number of removers
}

func measureDelete(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	err = b.with(ctx, func(i *instance) error {
		race, err := newDeleteRace(ctx, b, i)
		if err != nil {
			return err
		}
		defer race.engine.Close()
		for round := 1; round <= b.rounds; round++ {
			if err := race.round(ctx); err != nil {
				return err
			}
			b.say(round, b.rounds, "kube-lite %.2f s, Docker alone %v", race.ours[round-1], race.last(round-1))
		}
		best := race.best()
		samples = ratios(race.ours, race.theirs[best])
		note = fmt.Sprintf("medians: kube-lite %s s and %s s of the daemon's processor time, Docker alone %s s with %d removals at once, the fastest of %v",
			number(median(race.ours)), number(median(race.used)), number(median(race.theirs[best])), best, removers)
		return nil
	})
	return samples, note, err
}

func newDeleteRace(ctx context.Context, b *bench, i *instance) (*deleteRace, error) {
	deployment, err := b.deployment(deletedPods)
	if err != nil {
		return nil, err
	}
	spec := &deployment.Spec.Template.Spec
	spec.Containers = []corev1.Container{{Name: "main", Image: toolImage, ImagePullPolicy: corev1.PullNever, Command: []string{"/tool", "sleep"}}}
	r := &deleteRace{podRace: podRace{instance: i}, theirs: map[int][]float64{}}
	if r.manifest, err = i.write(deployment); err != nil {
		return nil, err
	}
	if r.engine, err = docker.Connect(ctx, "", nil); err != nil {
		return nil, err
	}
	r.raw = rawPods{engine: r.engine, owner: i.name, network: docker.NoNetwork, containers: declared(spec.Containers, i.scratch)}
	return r, nil
}

// round deletes once each way.
func (r *deleteRace) round(ctx context.Context) error {
	if err := appendTime(ctx, &r.ours, r.delete); err != nil {
		return err
	}
	for _, n := range removers {
		times := r.theirs[n]
		if err := appendTime(ctx, &times, func(ctx context.Context) (time.Duration, error) { return r.remove(ctx, n) }); err != nil {
			return err
		}
		r.theirs[n] = times
	}
	return nil
}

// delete is the time from the request until nothing is left, in the API and in Docker.
func (r *deleteRace) delete(ctx context.Context) (time.Duration, error) {
	if err := r.instance.run(ctx, deletedPods, r.manifest); err != nil {
		return 0, err
	}
	if err := r.learnPause(ctx, deletedPods); err != nil {
		return 0, err
	}
	if _, err := r.instance.do(ctx, "delete", "-f", r.manifest, "--cascade=orphan"); err != nil {
		return 0, err
	}
	if _, err := r.instance.do(ctx, "delete", "replicaset", "--all", "--cascade=orphan"); err != nil {
		return 0, err
	}
	watch, err := r.instance.watchPods(ctx)
	if err != nil {
		return 0, err
	}
	defer watch.watch.Stop()
	took, used, err := r.instance.daemonTime(func() error {
		pods := r.instance.client.CoreV1().Pods(namespace)
		if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			return err
		}
		return watch.awaitDeleted(ctx, deletedPods)
	})
	if err != nil {
		return 0, err
	}
	r.used = append(r.used, used.Seconds())
	return took, awaitGone(ctx, r.engine, docker.InstanceLabel(r.instance.name))
}

// remove is the time that Docker takes for the same containers.
func (r *deleteRace) remove(ctx context.Context, atOnce int) (took time.Duration, err error) {
	defer func() { err = errors.Join(err, r.raw.remove()) }()
	if err := r.raw.start(ctx, deletedPods); err != nil {
		return 0, err
	}
	list, err := r.engine.List(ctx, map[string]string{rawLabel: r.raw.owner})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, c := range list {
		group.Go(func() error { return r.engine.Remove(ctx, c.ID) })
	}
	err = group.Wait()
	return time.Since(began), err
}

// best is the number of removers with the lowest median.
func (r *deleteRace) best() int {
	return slices.MinFunc(removers, func(a, b int) int {
		if median(r.theirs[a]) < median(r.theirs[b]) {
			return -1
		}
		return 1
	})
}

// last describes a round of Docker's.
func (r *deleteRace) last(round int) (out []string) {
	for _, n := range removers {
		out = append(out, fmt.Sprintf("%.2f s by %d", r.theirs[n][round], n))
	}
	return out
}
