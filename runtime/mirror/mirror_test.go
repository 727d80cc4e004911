package mirror

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
)

// emptyEngine has no containers; its event stream stands while its first lists fail.
type emptyEngine struct{ failures atomic.Int32 }

func (*emptyEngine) Inspect(context.Context, string) (docker.Container, error) {
	return docker.Container{}, errdefs.ErrNotFound
}

func (*emptyEngine) Watch(ctx context.Context, _ map[string]string, w docker.Watcher) {
	w.Connected()
	<-ctx.Done()
}

func (e *emptyEngine) List(context.Context, map[string]string) ([]docker.Container, error) {
	if e.failures.Add(-1) >= 0 {
		return nil, errors.New("the engine is busy")
	}
	return nil, nil
}

// Nobody would wake the Pods again: the stream did not break, so it is not reopened.
func TestAListThatFailsIsRepeatedThoughTheStreamStands(t *testing.T) {
	engine := &emptyEngine{}
	engine.failures.Store(3)
	m := New(engine, pods.Owner{Instance: "t-mirror"}, slog.New(slog.DiscardHandler))
	m.retryAfter = time.Millisecond
	synced := make(chan struct{}, 1)
	m.Linked = func(connected bool, _ error) {
		if connected {
			synced <- struct{}{}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	select {
	case <-synced:
	case <-time.After(30 * time.Second):
		t.Fatal("the containers were never listed")
	}
	if !m.Ready() {
		t.Error("the mirror says that it does not show everything")
	}
	cancel()
	<-done
}

// What follows an init container need not wait until Docker has cleaned up after it.
func TestEndOfAContainerThatEndedWellIsKnownBeforeItCanBeRead(t *testing.T) {
	for code, want := range map[int]string{0: docker.StatusExited, 1: docker.StatusRunning} {
		m := New(&emptyEngine{}, pods.Owner{Instance: "t-mirror"}, slog.New(slog.DiscardHandler))
		told := 0
		m.Changed = func(pods.Ref) { told++ }
		m.containers.put(&entry{Instance: pods.Instance{ContainerName: "init", Pod: pods.Ref{UID: "u"}, Container: docker.Container{ID: "c", Status: docker.StatusRunning, PID: 7}}})
		at := time.Unix(1_700_000_000, 0)
		m.Event(docker.Event{ID: "c", Action: "die", ExitCode: code, Time: at})
		got := m.Pod("u")[0]
		if got.Status != want || got.Running() != (told == 0) || !got.Running() && !got.FinishedAt.Equal(at) {
			t.Errorf("after exit code %d it is %s since %v, told %d times", code, got.Status, got.FinishedAt, told)
		}
		if m.dirty.Len() != 1 {
			t.Error("nobody will read it")
		}
	}
}
