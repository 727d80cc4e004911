package runtime

import (
	"context"
	"sync"
)

// tasks owns the goroutines that outlive a sync: pulls and stops. The agent waits for
// them before it ends.
type tasks struct {
	mu  sync.Mutex // guards ctx
	ctx context.Context
	wg  sync.WaitGroup
}

// open lets tasks begin; they end with ctx.
func (t *tasks) open(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx = ctx
}

// start runs a task, unless the agent is ending.
func (t *tasks) start(task func(context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil || t.ctx.Err() != nil {
		return false
	}
	ctx := t.ctx
	t.wg.Go(func() { task(ctx) })
	return true
}

// wait returns when no task can begin any more and all have ended.
func (t *tasks) wait() {
	t.mu.Lock()
	t.ctx = nil
	t.mu.Unlock()
	t.wg.Wait()
}
