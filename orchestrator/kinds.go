package orchestrator

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
)

// What makes new kinds, and takes them away.
var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// automanaged is the label of APIServices of the API server's own groups, which it makes itself.
const automanaged = "kube-aggregator.kubernetes.io/automanaged"

// kindsSettle is how long after such a change discovery has the kind, and others that come or go with it. On a busy machine it takes
// longer, and of another server seconds, since its OpenAPI document comes first: so the kinds are asked for some times more.
var kindsSettle = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 3, Steps: 5}

// syncsKinds keeps a controller of upstream's aware of the kinds that there are. look asks for them when it begins, and each
// Options.KindsSync then, which would be long after somebody defined one: so it begins anew when a definition or another server's
// APIService has changed, or a kind turns out to be gone.
func syncsKinds(w *world, look func(ctx context.Context)) (func(ctx context.Context), error) {
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	var followed followers
	for _, kind := range []schema.GroupVersionResource{definitions, apiServices} {
		informer, err := w.objects.ForResource(kind)
		if err != nil {
			return nil, err
		}
		_, err = informer.Informer().AddEventHandler(cache.FilteringResourceEventHandler{
			FilterFunc: bringsKinds,
			Handler: cache.ResourceEventHandlerFuncs{
				AddFunc: func(any) { notify() }, UpdateFunc: func(_, _ any) { notify() }, DeleteFunc: func(any) { notify() },
			},
		})
		if err != nil {
			return nil, err
		}
		followed = append(followed, informer.Informer().GetController())
	}
	w.objects.onGone(notify)
	return func(ctx context.Context) {
		both{followed, func(ctx context.Context) {
			var pauses wait.Backoff
			for ctx.Err() == nil {
				pauses = lookUntil(ctx, changed, pauses, look)
			}
		}}.Run(ctx, 1)
	}, nil
}

// bringsKinds tells whether discovery can change with an object. An APIService of the API server's own groups only follows
// what it serves.
func bringsKinds(obj any) bool {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	_, own := obj.(*metav1.PartialObjectMetadata).Labels[automanaged]
	return !own
}

// followers deliver events to handlers.
type followers []cache.Controller

// Run is runner's.
func (f followers) Run(ctx context.Context, _ int) {
	var all sync.WaitGroup
	for _, c := range f {
		all.Go(func() { c.RunWithContext(ctx) })
	}
	all.Wait()
}

// lookUntil runs look until it should begin anew: when something changed, or may have become known since the last change. It
// returns what is left of that one's pauses.
func lookUntil(ctx context.Context, changed <-chan struct{}, pauses wait.Backoff, look func(ctx context.Context)) wait.Backoff {
	looking, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { look(looking) })
	var again <-chan time.Time
	if pauses.Steps > 0 {
		again = time.After(pauses.Step())
	}
	select {
	case <-again:
	case <-changed:
		pauses = kindsSettle
		select {
		case <-time.After(pauses.Step()):
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	return pauses
}
