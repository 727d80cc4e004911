package images

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
)

// fakeEngine has one image, and pulls for a minute.
type fakeEngine struct {
	mu    sync.Mutex // guards what follows
	image docker.Image
	down  bool
	pulls int
}

func (f *fakeEngine) Image(context.Context, string) (docker.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return docker.Image{}, errors.New("no answer")
	}
	return f.image, nil
}

func (f *fakeEngine) Pull(ctx context.Context, _ string, _ docker.PullOptions) error {
	f.mu.Lock()
	f.pulls++
	f.mu.Unlock()
	select {
	case <-time.After(time.Minute):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fakeEngine) ImageTexts(context.Context, docker.ContainerSpec, ...string) (map[string][]byte, error) {
	return nil, nil
}

// tasks runs them beside the test, until they end.
func tasks(t *testing.T, work *sync.WaitGroup) func(func(context.Context)) bool {
	return func(task func(context.Context)) bool {
		work.Go(func() { task(t.Context()) })
		return true
	}
}

func TestImageIsAskedForAgainWhenDockerDidNotAnswer(t *testing.T) {
	var work sync.WaitGroup
	engine := &fakeEngine{image: docker.Image{ID: "sha256:1", Digests: []string{"app@sha256:1"}}, down: true}
	changed := 0
	m := New(Config{Engine: engine, Start: tasks(t, &work), Changed: func(pods.Ref) { changed++ }, Now: time.Now})
	shown := m.ID(pods.Ref{}, "sha256:1")
	work.Wait()
	engine.down = false
	m.ID(pods.Ref{}, "sha256:1")
	work.Wait()
	if again := m.ID(pods.Ref{}, "sha256:1"); shown != "docker://sha256:1" || again != "docker-pullable://app@sha256:1" || changed != 1 {
		t.Errorf("shown as %s, then as %s; the Pod was looked at %d times", shown, again, changed)
	}
}

func TestPullsOfOneImageAreOneUnlessTheirCredentialsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var work sync.WaitGroup
		engine, ended := &fakeEngine{}, make(chan string, 9)
		p := newPuller(engine, tasks(t, &work), time.Now)
		of := func(who string) func() { return func() { ended <- who } }
		first := p.request("app:1", nil, of("first"))
		if second := p.request("app:1", nil, of("second")); second != first {
			t.Error("the same image is pulled twice")
		}
		if own := p.request("app:1", []docker.Credentials{{Username: "me"}}, of("own")); own == first {
			t.Error("a pull with other credentials joined one without")
		}
		work.Wait()
		if engine.pulls != 2 || len(ended) != 3 || !first.ended() || first.err != nil || first.took != time.Minute {
			t.Errorf("%d pulls, %d heard of their end: %+v", engine.pulls, len(ended), first.err)
		}
		if later := p.request("app:1", nil, of("later")); later == first {
			t.Error("a pull that has ended is joined")
		}
		work.Wait()
	})
}
