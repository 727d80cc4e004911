package orchestrator

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// definitions are what makes new kinds.
var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// kindsSettle is how long after a definition changed discovery has the kind, and others that are defined with it.
const kindsSettle = 200 * time.Millisecond

// syncsKinds keeps a controller of upstream's aware of the kinds that there are. sync looks for new ones when it begins, and each
// kindsSync then, which would be long after somebody defined one: so it begins anew when a definition has changed.
func syncsKinds(w *world, sync func(ctx context.Context)) (func(ctx context.Context), error) {
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	informer, err := w.objects.ForResource(definitions)
	if err != nil {
		return nil, err
	}
	_, err = informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { notify() }, UpdateFunc: func(_, _ any) { notify() }, DeleteFunc: func(any) { notify() },
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) {
		for ctx.Err() == nil {
			syncUntil(ctx, changed, sync)
		}
	}, nil
}

// syncUntil runs sync until kindsSettle after something changed.
func syncUntil(ctx context.Context, changed <-chan struct{}, sync func(ctx context.Context)) {
	syncing, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		sync(syncing)
	}()
	select {
	case <-changed:
		select {
		case <-time.After(kindsSettle):
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	cancel()
	<-done
}
