package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
)

// What the fake engine does to containers.

func (f *fakeEngine) Create(ctx context.Context, spec docker.ContainerSpec) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.down {
		return "", errFakeDown
	}
	image, ok := f.images[spec.Image]
	if !ok {
		return "", fmt.Errorf("create container %s: No such image: %s: %w", spec.Name, spec.Image, errdefs.ErrNotFound)
	}
	if f.byName(spec.Name) != nil {
		return "", fakeConflict(spec.Name)
	}
	if f.refuse != nil {
		if err := f.refuse(spec); err != nil {
			return "", err
		}
	}
	f.made++
	id := fmt.Sprintf("%064d", f.made)
	c := &fakeContainer{spec: spec, Container: docker.Container{
		ID: id, Name: spec.Name, Image: spec.Image, ImageID: image.ID, Labels: spec.Labels,
		Status: docker.StatusCreated, Created: time.Now(), Resources: spec.Resources, CgroupParent: spec.CgroupParent, Network: spec.Network,
		StopSignal: cmp.Or(spec.StopSignal, "SIGTERM"),
	}}
	f.containers[id], f.named[spec.Name] = c, c
	f.log = append(f.log, "create "+spec.Name)
	if f.createErr != nil {
		if err := f.createErr(spec); err != nil {
			return "", err
		}
	}
	return id, nil
}

func (f *fakeEngine) Start(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	hang := f.startHang
	f.mu.Unlock()
	if hang == 0 {
		return f.start(id)
	}
	started := make(chan error, 1)
	f.hanging.Go(func() {
		f.countStart(1)
		time.Sleep(hang)
		f.countStart(-1)
		started <- f.start(id)
	})
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeEngine) countStart(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starting += n
	f.most = max(f.most, f.starting)
}

func fakeConflict(name string) error {
	return fmt.Errorf("create container %s: name in use: %w", name, errdefs.ErrConflict)
}

func (f *fakeEngine) start(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return err
	}
	if f.startErr != nil {
		if err := f.startErr(c.spec); err != nil {
			c.Error, c.ExitCode = err.Error(), 127
			return err
		}
	}
	if owner, ok := strings.CutPrefix(c.spec.Network, "container:"); ok {
		o := f.containers[owner]
		if o == nil || !o.Running() {
			c.Error, c.ExitCode = "cannot join network of a non running container", 128
			return errors.New(c.Error)
		}
		if o.Network == docker.NoNetwork && o.port == (docker.BridgePort{}) {
			c.Error, c.ExitCode = "its sandbox has no network yet", 128
			return errors.New(c.Error)
		}
	}
	c.Status, c.StartedAt, c.PID = docker.StatusRunning, time.Now(), f.made
	f.log = append(f.log, "start "+c.Name)
	f.tell(c, "start")
	return nil
}

func (f *fakeEngine) Stop(ctx context.Context, id string, grace time.Duration) error {
	started := make(chan struct{})
	go func() { f.hanging.Wait(); close(started) }()
	select { // as Docker waits for starts of the same container
	case <-started:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	delay := f.stopDelay
	f.mu.Unlock()
	code := 0
	if delay > grace {
		delay, code = grace, 137
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return err
	}
	f.log = append(f.log, "stop "+c.Name)
	f.finish(c, code)
	return nil
}

func (f *fakeEngine) Update(ctx context.Context, id string, r docker.Resources) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return err
	}
	if f.updateErr != nil {
		return f.updateErr
	}
	f.log = append(f.log, "update "+c.Name)
	c.Resources = r
	return nil
}

func (f *fakeEngine) Kill(ctx context.Context, id, _ string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return err
	}
	f.log = append(f.log, "kill "+c.Name)
	f.finish(c, 137)
	return nil
}

func (f *fakeEngine) Remove(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if docker.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	f.finish(c, 137)
	delete(f.containers, c.ID)
	delete(f.named, c.Name)
	if f.ports[c.port.Address.Addr()] == c {
		delete(f.ports, c.port.Address.Addr())
	}
	f.log = append(f.log, "remove "+c.Name)
	f.tell(c, "destroy")
	return nil
}

// failStart makes the containers of one name fail to start.
func failStart(container, message string) func(docker.ContainerSpec) error {
	return func(spec docker.ContainerSpec) error {
		if spec.Labels[pods.LabelContainer] == container {
			return errors.New(message)
		}
		return nil
	}
}
