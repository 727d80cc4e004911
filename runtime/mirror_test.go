package runtime

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
)

// failingLists is an engine whose event stream stands while its first lists fail.
type failingLists struct {
	*fakeEngine
	left atomic.Int32
}

func (f *failingLists) List(ctx context.Context, labels map[string]string) ([]docker.Container, error) {
	if f.left.Add(-1) >= 0 {
		return nil, errors.New("the engine is busy")
	}
	return f.fakeEngine.List(ctx, labels)
}

// Nobody would wake the Pods again: the stream did not break, so it is not reopened.
func TestAListThatFailsIsRepeatedThoughTheStreamStands(t *testing.T) {
	engine := &failingLists{fakeEngine: newFakeEngine()}
	engine.left.Store(3)
	m := newMirror(engine, "t-mirror", slog.New(slog.DiscardHandler))
	m.retryAfter = time.Millisecond
	synced := make(chan struct{}, 1)
	m.linked = func(connected bool, _ error) {
		if connected {
			synced <- struct{}{}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.run(ctx) }()
	select {
	case <-synced:
	case <-time.After(30 * time.Second):
		t.Fatal("the containers were never listed")
	}
	if !m.ready() {
		t.Error("the mirror says that it does not show everything")
	}
	cancel()
	<-done
}

// What follows an init container need not wait until Docker has cleaned up after it.
func TestEndOfAContainerThatEndedWellIsKnownBeforeItCanBeRead(t *testing.T) {
	for code, want := range map[int]string{0: docker.StatusExited, 1: docker.StatusRunning} {
		m := newMirror(newFakeEngine(), "t-mirror", slog.New(slog.DiscardHandler))
		told := 0
		m.changed = func(pods.Ref) { told++ }
		m.containers.put(&entry{Instance: pods.Instance{ContainerName: "init", Pod: pods.Ref{UID: "u"}, Container: docker.Container{ID: "c", Status: docker.StatusRunning, PID: 7}}})
		at := time.Unix(1_700_000_000, 0)
		m.Event(docker.Event{ID: "c", Action: "die", ExitCode: code, Time: at})
		got := m.pod("u")[0]
		if got.Status != want || got.Running() != (told == 0) || !got.Running() && !got.FinishedAt.Equal(at) {
			t.Errorf("after exit code %d it is %s since %v, told %d times", code, got.Status, got.FinishedAt, told)
		}
		if m.dirty.Len() != 1 {
			t.Error("nobody will read it")
		}
	}
}
