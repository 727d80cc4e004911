package images

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/kube-lite/kube-lite/runtime/docker"
)

const (
	// registryAnswer is how long a registry may take to answer at all.
	registryAnswer = 5 * time.Second
	// registryRest is how long a registry that did not answer is left alone, so that
	// working offline costs nothing.
	registryRest = time.Minute
)

// puller pulls images: different ones in parallel, one image once however many
// Pods wait for it.
type puller struct {
	engine Engine
	start  func(task func(context.Context)) bool
	now    func() time.Time

	mu    sync.Mutex // guards what follows
	pulls map[string]*pull
	down  map[string]time.Time // registries that did not answer, and until when they rest
}

// pull is one pull, under way or done.
type pull struct {
	done    chan struct{} // closed at the end
	started time.Time
	took    time.Duration
	err     error
	waiters []func() // called at the end

	mu     sync.Mutex                 // guards what follows
	at     time.Time                  // of the last progress
	latest map[string]docker.Progress // by layer, what was told last
	layers map[string]docker.Progress // by layer, what is known of its download
}

// progress is how many bytes came, and of how many that are known of.
func (t *pull) progress() (current, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.layers {
		current, total = current+p.Current, total+p.Total
	}
	return current, total
}

func newPuller(e Engine, start func(task func(context.Context)) bool, now func() time.Time) *puller {
	return &puller{engine: e, start: start, now: now, pulls: map[string]*pull{}, down: map[string]time.Time{}}
}

// request joins the pull of an image with the same credentials that is under way, or
// begins one. wake is called when it ends.
func (p *puller) request(image string, with []docker.Credentials, wake func()) *pull {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := pullKey(image, with)
	if running := p.pulls[key]; running != nil {
		running.waiters = append(running.waiters, wake)
		return running
	}
	task := &pull{done: make(chan struct{}), started: p.now(), waiters: []func(){wake}}
	p.pulls[key] = task
	if !p.start(func(ctx context.Context) { p.run(ctx, key, image, with, task) }) {
		task.err = context.Canceled
		close(task.done)
	}
	return task
}

func (p *puller) run(ctx context.Context, key, image string, with []docker.Credentials, task *pull) {
	err := p.pull(ctx, image, with, task)
	p.mu.Lock()
	delete(p.pulls, key)
	task.err, task.took = err, p.now().Sub(task.started)
	waiters := task.waiters
	p.mu.Unlock()
	close(task.done)
	for _, wake := range waiters {
		wake()
	}
}

// pull tries the credentials one after the other, or anonymously if there are none.
func (p *puller) pull(ctx context.Context, image string, with []docker.Credentials, task *pull) error {
	registry, err := registryOf(image)
	if err != nil {
		return err
	}
	p.mu.Lock()
	until := p.down[registry]
	p.mu.Unlock()
	if p.now().Before(until) {
		return &docker.UnreachableError{Ref: image, Err: fmt.Errorf("%s did not answer and is asked again after %s", registry, until.Format(time.TimeOnly))}
	}
	if len(with) == 0 {
		with = []docker.Credentials{{}}
	}
	bounded, end := p.untilStalled(ctx, task)
	defer end()
	note := func(progress docker.Progress) { task.note(progress, p.now()) }
	var unreachable *docker.UnreachableError
	for _, c := range with {
		err = p.engine.Pull(bounded, image, docker.PullOptions{Credentials: c, FirstAnswer: registryAnswer, Progress: note})
		if err == nil || errors.As(err, &unreachable) {
			break // other credentials would not help
		}
		if stalled := (stalledError{}); errors.As(context.Cause(bounded), &stalled) {
			return stalled
		}
	}
	if errors.As(err, &unreachable) && ctx.Err() == nil {
		p.mu.Lock()
		p.down[registry] = p.now().Add(registryRest)
		p.mu.Unlock()
	}
	return err
}

// ended tells whether the pull is over.
func (t *pull) ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// registryOf is the registry that an image name leads to.
func registryOf(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("image name %q: %w", image, err)
	}
	return reference.Domain(named), nil
}

// withTag is the image name with the tag that is meant when there is none.
func withTag(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %w", image, err)
	}
	if reference.IsNameOnly(named) {
		return image + ":latest", nil
	}
	return image, nil
}
