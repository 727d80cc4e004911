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
	// wanted is what gives the loop something to do: it starts when the first is there. Nil: it always runs. A loop at
	// rest costs little, but two dozen of them, each of which looks at its queues' metrics twice a second, are most of
	// what an idle machine would notice.
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
	return slices.Concat(workloadLoops(), serviceLoops(), clusterLoops(), storageLoops(), []loop{
		{"default-scheduler", 1, nil, newScheduler},
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
