package orchestrator

import (
	"context"
	"slices"
	"sync"
)

// loop is one line of the table: a controller, and how many keys it works on at once.
type loop struct {
	name    string // kube-controller-manager's name, for the log
	workers int
	build   func(ctx context.Context, w *world) (runner, error)
}

// runner is a built controller. Run blocks until ctx ends and its workers have ended.
type runner interface {
	Run(ctx context.Context, workers int)
}

// loops are all that run here, with the number of workers that kube-controller-manager gives them where one machine has
// use for as many. A new one is one more line in one of the tables.
// https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
func loops() []loop {
	return slices.Concat(workloadLoops(), serviceLoops(), clusterLoops(), storageLoops(), []loop{
		{"default-scheduler", 1, newScheduler},
	})
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
