package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

// rawLabel marks the yardstick's containers with the instance they belong to.
const rawLabel = "io.kube-lite.bench"

// rawPods starts pods as fast as Docker's API allows, and nothing else: nothing is declared, watched, written down or
// reported. What the containers are is kube-lite's way: a pause container on the instance's network, the others in its
// network and IPC namespaces, unconfined by seccomp, as Kubernetes has it by default.
type rawPods struct {
	engine     *docker.Engine
	owner      string // value of rawLabel
	network    string
	pause      string
	init       []docker.ContainerSpec // of each pod, run one after the other before the containers
	containers []docker.ContainerSpec // of each pod
}

// start has all pods begun at once, and within a pod does at once what does not need each other.
func (r rawPods) start(ctx context.Context, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	for n := range count {
		group.Go(func() error { return r.startPod(ctx, n) })
	}
	return group.Wait()
}

func (r rawPods) startPod(ctx context.Context, n int) error {
	pause, err := r.engine.Create(ctx, docker.ContainerSpec{
		Name: fmt.Sprintf("%s-raw-%d", r.owner, n), Image: r.pause, Labels: map[string]string{rawLabel: r.owner},
		Network: r.network, IPC: "shareable", SecurityOpts: []string{"seccomp=unconfined"},
	})
	if err != nil {
		return err
	}
	running := make(chan struct{}) // closed when the pause container runs
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := r.engine.Start(ctx, pause)
		if err == nil {
			close(running)
		}
		return err
	})
	ready := running // closed when the containers may start
	if len(r.init) > 0 {
		ready = make(chan struct{})
		group.Go(func() error { return r.runInit(ctx, n, pause, running, ready) })
	}
	for _, spec := range r.containers {
		group.Go(func() error { return r.startContainer(ctx, n, pause, spec, ready) })
	}
	return group.Wait()
}

// runInit runs the init containers and closes done.
func (r rawPods) runInit(ctx context.Context, n int, pause string, running <-chan struct{}, done chan<- struct{}) error {
	for _, spec := range r.init {
		if err := r.startContainer(ctx, n, pause, spec, running); err != nil {
			return err
		}
		if _, err := r.engine.Wait(ctx, r.name(n, spec)); err != nil {
			return err
		}
	}
	close(done)
	return nil
}

func (r rawPods) name(n int, spec docker.ContainerSpec) string {
	return fmt.Sprintf("%s-raw-%d-%s", r.owner, n, spec.Name)
}

// startContainer creates a container and starts it when running is closed.
func (r rawPods) startContainer(ctx context.Context, n int, pause string, spec docker.ContainerSpec, running <-chan struct{}) error {
	spec.Name = r.name(n, spec)
	spec.Labels = map[string]string{rawLabel: r.owner}
	spec.Network, spec.IPC = "container:"+pause, "container:"+pause
	spec.SecurityOpts = []string{"seccomp=unconfined"}
	id, err := r.engine.Create(ctx, spec)
	if err != nil {
		return err
	}
	select {
	case <-running:
		return r.engine.Start(ctx, id)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remove leaves none of them, however far start came. It has its own time: the caller's may be over.
func (r rawPods) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	labels := map[string]string{rawLabel: r.owner}
	list, err := r.engine.List(ctx, labels)
	if err != nil {
		return err
	}
	var group errgroup.Group
	for _, c := range list {
		group.Go(func() error { return r.engine.Remove(ctx, c.ID) })
	}
	return errors.Join(group.Wait(), awaitGone(ctx, r.engine, labels))
}
