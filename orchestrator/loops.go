package orchestrator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// loop is one line of the table: a controller, and how many keys it works on at once.
type loop struct {
	name    string // kube-controller-manager's name, for the log
	workers int
	// wanted is what gives the loop something to do: it is built when the first is there. Nil: it always runs. A loop at
	// rest costs little, but each of its queues looks at its metrics twice a second, and with forty of them that was most
	// of what an idle machine did.
	wanted func(w *world) []trigger
	build  func(ctx context.Context, w *world) (runner, error)
}

// runner is a built controller. Run blocks until ctx ends and its workers have ended.
type runner interface {
	Run(ctx context.Context, workers int)
}

// loops are all that run here, with the number of workers that kube-controller-manager gives them where one machine has
// use for as many. A new one is one more line in one of the tables.
// https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
func loops() []loop {
	return slices.Concat(workloadLoops(), serviceLoops(), clusterLoops(), nodeLoops(), certificateLoops(), policyLoops(), storageLoops(), []loop{
		{"default-scheduler", 1, nil, newScheduler},
	})
}

// prepare returns what runs the loop until ctx ends. A loop that always runs is built now, one that waits for something to
// do is built then.
func (l loop) prepare(ctx context.Context, w *world) (func() error, error) {
	// Upstream's code logs to its context's logger: this is how a line says whose it is.
	ctx = klog.NewContext(ctx, klog.LoggerWithName(klog.Background(), l.name))
	if l.wanted == nil {
		own, err := w.of(l.name)
		if err != nil {
			return nil, err
		}
		r, err := l.build(ctx, own)
		return func() error { return l.run(ctx, r) }, err
	}
	comes, err := await(l.wanted(w))
	return func() error {
		for comes(ctx) {
			if err := l.runLate(ctx, w); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return nil
			}
			if comes, err = await(l.wanted(w)); err != nil {
				return err
			}
		}
		return nil
	}, err
}

// run runs what was built until ctx ends, or nothing is wanted of it any more.
func (l loop) run(ctx context.Context, r runner) error {
	r.Run(ctx, l.workers)
	if _, ends := r.(whileWanted); ctx.Err() == nil && !ends {
		return errors.New("ended by itself")
	}
	return nil
}

// runLate builds the loop while informers run, and runs it.
func (l loop) runLate(ctx context.Context, w *world) error {
	r, g, err := l.buildLate(ctx, w)
	if err != nil {
		return err
	}
	err = l.run(ctx, r)
	if ctx.Err() != nil { // the informers end, too
		return err
	}
	return errors.Join(err, g.close())
}

// buildLate builds the loop while informers run. One at a time: upstream's constructors look whether an informer has an
// index before they add it.
func (l loop) buildLate(ctx context.Context, w *world) (runner, *gate, error) {
	w.building.Lock()
	defer w.building.Unlock()
	own, err := w.of(l.name)
	if err != nil {
		return nil, nil, err
	}
	late, g := own.behindGate()
	r, err := l.build(ctx, late)
	if err != nil {
		return nil, nil, err
	}
	w.informers.Start(ctx.Done())
	return r, g, g.open()
}

// single is a controller that decides itself how many workers it has.
type single func(ctx context.Context)

func (run single) Run(ctx context.Context, _ int) { run(ctx) }

// both is a controller of two loops.
type both struct {
	main runner
	side func(ctx context.Context)
}

func (b both) Run(ctx context.Context, workers int) {
	var side sync.WaitGroup
	side.Go(func() { b.side(ctx) })
	b.main.Run(ctx, workers)
	side.Wait()
}

// whileWanted is a controller that costs too much at rest: it ends when nothing is wanted of it any more, and the loop is built
// anew when something is.
type whileWanted struct {
	main runner
	over func() bool   // tells that nothing is
	look time.Duration // how often that is asked
}

func (c whileWanted) Run(ctx context.Context, workers int) {
	ctx, end := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		c.await(ctx)
		end()
	})
	c.main.Run(ctx, workers)
	end()
	looking.Wait()
}

// await blocks until ctx ends or nothing was wanted at two looks in a row, so that the controller does not come and go.
func (c whileWanted) await(ctx context.Context) {
	tick := time.NewTicker(c.look)
	defer tick.Stop()
	for was := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := c.over()
			if was && now {
				return
			}
			was = now
		}
	}
}
