package orchestrator

import (
	"context"
	"sync"

	"k8s.io/client-go/tools/cache"
)

// trigger is a kind of objects of which one gives a loop something to do.
type trigger struct {
	informer cache.SharedIndexInformer
	// is says which objects of the kind do. Nil: every one.
	is func(obj any) bool
}

// anyOf has every object of these kinds start a loop.
func anyOf(kinds ...interface {
	Informer() cache.SharedIndexInformer
}) []trigger {
	var all []trigger
	for _, k := range kinds {
		all = append(all, trigger{informer: k.Informer()})
	}
	return all
}

// await returns a function that blocks until one of the triggers' objects is there, and tells whether it is: it is not
// when ctx ended before.
func await(triggers []trigger) (func(ctx context.Context) bool, error) {
	seen := make(chan struct{})
	once := sync.OnceFunc(func() { close(seen) })
	stop := func() {}
	for _, t := range triggers {
		look := func(obj any) {
			if t.is == nil || t.is(obj) {
				once()
			}
		}
		registration, err := t.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: look, UpdateFunc: func(_, obj any) { look(obj) },
		})
		if err != nil {
			return nil, err
		}
		others := stop
		stop = func() {
			others()
			_ = t.informer.RemoveEventHandler(registration)
		}
	}
	return func(ctx context.Context) bool {
		defer stop()
		select {
		case <-seen:
			return true
		case <-ctx.Done():
			return false
		}
	}, nil
}
