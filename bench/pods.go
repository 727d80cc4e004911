package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// podCount is the design's: pods of two containers each.
const podCount = 10

// turnPause is how long the machine rests before a turn: the kernel takes the namespaces of the turn before apart when
// Docker has forgotten them already, and whoever comes next would pay for it.
const turnPause = 2 * time.Second

// podRace has kube-lite and Docker alone start the same containers in turns.
type podRace struct {
	instance *instance
	engine   *docker.Engine
	manifest string
	raw      rawPods
	used     []float64 // the daemon's processor time in each of its turns, in seconds
}

func measurePods(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	return b.racePods(ctx, func(*appsv1.Deployment) {})
}

// racePods measures the quick start's Deployment with what change does to it.
func (b *bench) racePods(ctx context.Context, change func(*appsv1.Deployment)) (samples []float64, note string, err error) {
	err = b.with(ctx, func(i *instance) error {
		race, err := newPodRace(ctx, b, i, change)
		if err != nil {
			return err
		}
		defer race.engine.Close()
		samples, note, err = race.run(ctx, b)
		return err
	})
	return samples, note, err
}

func newPodRace(ctx context.Context, b *bench, i *instance, change func(*appsv1.Deployment)) (*podRace, error) {
	deployment, err := b.deployment(podCount)
	if err != nil {
		return nil, err
	}
	change(deployment)
	if err := i.makeConfig(ctx, deployment); err != nil {
		return nil, err
	}
	r := &podRace{instance: i}
	if r.manifest, err = i.write(deployment); err != nil {
		return nil, err
	}
	if r.engine, err = docker.Connect(ctx, "", nil); err != nil {
		return nil, err
	}
	r.raw = rawPods{engine: r.engine, owner: i.name, network: docker.NetworkName(i.name),
		init: declared(deployment.Spec.Template.Spec.InitContainers, i.scratch), containers: declared(deployment.Spec.Template.Spec.Containers, i.scratch)}
	return r, nil
}

// run takes turns, and who begins changes: whoever comes second finds the machine warmer.
func (r *podRace) run(ctx context.Context, b *bench) (samples []float64, note string, err error) {
	if _, err := r.kubeLite(ctx); err != nil { // warms up, and tells the sandbox's image
		return nil, "", err
	}
	r.used = nil
	var ours, theirs []float64
	for round := 1; round <= b.rounds; round++ {
		turns := []func(context.Context) error{
			func(ctx context.Context) error { return appendTime(ctx, &theirs, r.docker) },
			func(ctx context.Context) error { return appendTime(ctx, &ours, r.kubeLite) },
		}
		first := round % 2
		if err := errors.Join(turns[first](ctx), turns[1-first](ctx)); err != nil {
			return nil, "", err
		}
		last := len(ours) - 1
		b.say(round, b.rounds, "kube-lite %.2f s, Docker alone %.2f s: × %.2f", ours[last], theirs[last], ours[last]/theirs[last])
	}
	return ratios(ours, theirs), fmt.Sprintf("medians: kube-lite %s s and %s s of the daemon's processor time, Docker alone %s s",
		number(median(ours)), number(median(r.used)), number(median(theirs))), nil
}

func appendTime(ctx context.Context, to *[]float64, turn func(context.Context) (time.Duration, error)) error {
	if err := sleep(ctx, turnPause); err != nil {
		return err
	}
	took, err := turn(ctx)
	*to = append(*to, took.Seconds())
	return err
}

// kubeLite is the time from the command until all pods are seen Ready.
func (r *podRace) kubeLite(ctx context.Context) (time.Duration, error) {
	took, used, err := r.instance.daemonTime(func() error { return r.instance.run(ctx, podCount, r.manifest) })
	if err != nil {
		return 0, err
	}
	r.used = append(r.used, used.Seconds())
	if err := r.learnPause(ctx, podCount); err != nil {
		return 0, err
	}
	if _, err := r.instance.do(ctx, "delete", "-f", r.manifest, "--grace-period=1"); err != nil {
		return 0, err
	}
	return took, awaitGone(ctx, r.engine, docker.InstanceLabel(r.instance.name))
}

// docker is the same by hand.
func (r *podRace) docker(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := r.raw.start(ctx, podCount)
	took := time.Since(began)
	return took, errors.Join(err, r.raw.remove())
}

// learnPause finds the image of kube-lite's sandboxes.
func (r *podRace) learnPause(ctx context.Context, pods int) error {
	labels := docker.InstanceLabel(r.instance.name)
	labels["io.kubernetes.docker.type"] = "podsandbox"
	sandboxes, err := r.engine.List(ctx, labels)
	if err != nil {
		return err
	}
	if len(sandboxes) != pods {
		return fmt.Errorf("%d pods are Ready, and Docker has %d sandboxes", pods, len(sandboxes))
	}
	r.raw.pause = sandboxes[0].Image
	return nil
}

// goneInterval is how often Docker is asked whether the containers are gone. No time is taken meanwhile.
const goneInterval = 100 * time.Millisecond

func awaitGone(ctx context.Context, engine *docker.Engine, labels map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		list, err := engine.List(ctx, labels)
		if err != nil || len(list) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d containers are still there: %w", len(list), ctx.Err())
		case <-time.After(goneInterval):
		}
	}
}

// declared are the containers of a pod as Docker takes them, with a directory in place of each volume.
func declared(list []corev1.Container, directory string) (out []docker.ContainerSpec) {
	for _, c := range list {
		spec := docker.ContainerSpec{Name: c.Name, Image: c.Image, Entrypoint: c.Command, Cmd: c.Args}
		for _, e := range c.Env {
			spec.Env = append(spec.Env, e.Name+"="+e.Value)
		}
		for _, m := range c.VolumeMounts {
			spec.Mounts = append(spec.Mounts, docker.Mount{Source: directory, Target: m.MountPath, ReadOnly: true})
		}
		out = append(out, spec)
	}
	return out
}
