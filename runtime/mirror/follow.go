package mirror

import (
	"context"
	"fmt"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	"golang.org/x/sync/errgroup"
)

// How the mirror follows Docker.

// inspectConcurrency is how many containers are read at once: enough to hide the
// round trip, few enough to leave the engine to those who start containers.
const inspectConcurrency = 4

// Run follows Docker until ctx ends.
func (m *Mirror) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { m.engine.Watch(ctx, m.owner.Filter(), m); return nil })
	group.Go(func() error { m.relistLoop(ctx); return nil })
	for range inspectConcurrency {
		group.Go(func() error { m.refreshLoop(ctx); return nil })
	}
	group.Go(func() error { <-ctx.Done(); m.dirty.ShutDown(); return nil })
	return group.Wait()
}

// Connected implements docker.Watcher.
func (m *Mirror) Connected() {
	wake(m.relist)
}

// wake wakes who waits on a channel with room for one, unless it is about to be woken.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Disconnected implements docker.Watcher.
func (m *Mirror) Disconnected(err error) {
	m.mu.Lock()
	was := m.synced
	m.synced = false
	m.mu.Unlock()
	if was {
		m.log.Warn("Docker's event stream ended", "error", err)
	}
	m.Linked(false, err)
}

// Refresh reads a container from Docker. One that is gone is forgotten.
func (m *Mirror) Refresh(ctx context.Context, id string) (pods.Instance, error) {
	m.mu.Lock()
	m.seq++
	seq := m.seq
	m.mu.Unlock()
	c, err := m.engine.Inspect(ctx, id)
	if docker.IsNotFound(err) {
		m.forget(id)
		return pods.Instance{}, err
	}
	if err != nil {
		return pods.Instance{}, err
	}
	i, ok := pods.InstanceOf(c)
	if !ok {
		return pods.Instance{}, fmt.Errorf("container %s carries no labels of a Pod", id)
	}
	m.store(m.withUser(i), seq)
	return i, nil
}

func (m *Mirror) refreshLoop(ctx context.Context) {
	for {
		id, shutdown := m.dirty.Get()
		if shutdown {
			return
		}
		if _, err := m.Refresh(ctx, id); err != nil && !docker.IsNotFound(err) && ctx.Err() == nil {
			m.log.Warn("a container cannot be read", "container", id, "error", err)
			m.retryResync()
		}
		m.dirty.Done(id)
	}
}

// relistLoop reads everything whenever the stream was opened anew, and again some
// time after something could not be read: the engine may answer slowly while its
// stream stands, and then no event would tell.
func (m *Mirror) relistLoop(ctx context.Context) {
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.resyncRetry:
			retry = time.After(m.retryAfter)
			continue
		case <-retry:
		case <-m.relist:
		}
		retry = nil
		if err := m.resync(ctx); err != nil {
			if ctx.Err() == nil {
				m.log.Warn("containers cannot be listed", "error", err)
				m.Linked(false, err)
			}
			m.retryResync()
			continue
		}
		m.Linked(true, nil)
	}
}

// retryResync has everything read again after a while.
func (m *Mirror) retryResync() {
	wake(m.resyncRetry)
}

// resync makes the mirror equal to what Docker has.
func (m *Mirror) resync(ctx context.Context) error {
	before := m.ids()
	found, err := m.engine.List(ctx, m.owner.Filter())
	if err != nil {
		return err
	}
	group, inspecting := errgroup.WithContext(ctx)
	group.SetLimit(inspectConcurrency)
	for _, c := range found {
		delete(before, c.ID)
		if _, ok := pods.InstanceOf(c); !ok || !m.owner.Has(c.Labels) {
			continue
		}
		group.Go(func() error {
			if _, err := m.Refresh(inspecting, c.ID); err != nil && !docker.IsNotFound(err) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for id := range before {
		m.forget(id)
	}
	m.mu.Lock()
	m.synced = true
	m.mu.Unlock()
	return nil
}
