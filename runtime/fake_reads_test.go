package runtime

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/kube-lite/kube-lite/runtime/docker"
)

// What the fake engine tells of containers, and runs in them.

func (f *fakeEngine) Inspect(ctx context.Context, id string) (docker.Container, error) {
	if ctx.Err() != nil {
		return docker.Container{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inspects++
	c, err := f.find(id)
	if err != nil {
		return docker.Container{}, err
	}
	return c.Container, nil
}

func (f *fakeEngine) List(ctx context.Context, labels map[string]string) ([]docker.Container, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	if f.down {
		return nil, errFakeDown
	}
	var out []docker.Container
	for _, c := range f.containers {
		matches := true
		for k, v := range labels {
			matches = matches && c.Labels[k] == v
		}
		if matches {
			out = append(out, c.Container)
		}
	}
	return out, nil
}

func (f *fakeEngine) Written(_ context.Context, id string) (int64, error) {
	f.mu.Lock()
	c, err := f.find(id)
	if err != nil {
		f.mu.Unlock()
		return 0, err
	}
	written, counted := c.written, c.counted
	f.mu.Unlock()
	time.Sleep(counted)
	return written, nil
}

// Tail is the end of what every fake container says.
func (f *fakeEngine) Tail(_ context.Context, id string, _ int64, limit int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.find(id)
	if err != nil {
		return "", err
	}
	text := "last words of " + c.Name + "\n"
	return text[max(0, len(text)-limit):], nil
}

// Exec calls what the test set.
func (f *fakeEngine) Exec(ctx context.Context, id string, command []string, s docker.Streams) (int, error) {
	f.mu.Lock()
	c, err := f.find(id)
	if err == nil && !c.Running() {
		err = fmt.Errorf("container %s is not running: %w", id, errdefs.ErrConflict)
	}
	exec := f.exec
	if err == nil {
		f.log = append(f.log, "exec "+c.Name+" "+strings.Join(command, " "))
	}
	f.mu.Unlock()
	if err != nil || exec == nil {
		return 0, err
	}
	return exec(ctx, c.Name, command, s.Out)
}
