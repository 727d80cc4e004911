package runtime

import (
	"context"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// workers runs one worker per Pod: never two at once for one Pod, any number for
// different Pods. A worker is a goroutine only while there is work.
type workers struct {
	sync func(context.Context, *podState) verdict
	wg   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	ctx    context.Context
	cancel context.CancelFunc // ends ctx
	jobs   map[types.UID]*job
}

// verdict is what a sync says about the next one.
type verdict struct {
	after time.Duration // sync again after that time; 0: when something happens
	done  bool          // nothing of the Pod is left
}

// job is the work on one Pod. Its state belongs to the goroutine that runs.
type job struct {
	state   *podState
	running bool
	dirty   bool
	timer   *time.Timer
}

func newWorkers(sync func(context.Context, *podState) verdict) *workers {
	return &workers{sync: sync, jobs: map[types.UID]*job{}}
}

// start lets work begin. What is enqueued before is lost: enqueue everything after it.
func (w *workers) start(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ctx, w.cancel = context.WithCancel(ctx)
}

// syncStopTimeout is how long a sync under way may take when work is to stop: what it asked of Docker
// is soon answered, or else nobody knows when.
const syncStopTimeout = 5 * time.Second

// stop lets no work begin any more and waits for what runs, which is ended if it takes long.
func (w *workers) stop() {
	w.mu.Lock()
	cancel := w.cancel
	w.ctx = nil
	for _, j := range w.jobs {
		j.stopTimer()
	}
	w.mu.Unlock()
	if cancel == nil { // it never started
		return
	}
	defer cancel()
	defer time.AfterFunc(syncStopTimeout, cancel).Stop()
	w.wg.Wait()
}

// enqueue has the Pod looked at soon, once, however often it is called.
func (w *workers) enqueue(ref pods.Ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.ctx.Err() != nil {
		return
	}
	j := w.jobs[ref.UID]
	if j == nil {
		j = &job{state: newPodState(ref)}
		w.jobs[ref.UID] = j
	}
	j.dirty = true
	if !j.running {
		j.running = true
		j.stopTimer()
		w.wg.Add(1)
		go w.work(w.ctx, j)
	}
}

// follow keeps the newest version of a Pod that has a worker.
func (w *workers) follow(pod *v1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[pod.UID]; j != nil {
		j.state.last.Store(pod)
	}
}

// work syncs until the Pod is clean.
func (w *workers) work(ctx context.Context, j *job) {
	defer w.wg.Done()
	var v verdict
	for w.begin(ctx, j, v) {
		v = w.sync(ctx, j.state)
	}
}

// begin claims the next sync, or ends the goroutine.
func (w *workers) begin(ctx context.Context, j *job, last verdict) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j.dirty && w.ctx != nil && ctx.Err() == nil {
		j.dirty = false
		return true
	}
	j.running = false
	switch {
	case w.ctx == nil || ctx.Err() != nil:
	case last.done:
		delete(w.jobs, j.state.ref.UID)
	case last.after > 0:
		ref := j.state.ref
		j.timer = time.AfterFunc(last.after, func() { w.enqueue(ref) })
	}
	return false
}

func (j *job) stopTimer() {
	if j.timer != nil {
		j.timer.Stop()
		j.timer = nil
	}
}

// known returns the Pods that have a job.
func (w *workers) known() []pods.Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]pods.Ref, 0, len(w.jobs))
	for _, j := range w.jobs {
		out = append(out, j.state.ref)
	}
	return out
}

// notify wakes who waits on a channel with room for one, unless a notification waits there already.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
