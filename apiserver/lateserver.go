package apiserver

import (
	"context"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// lateRetry is how long after a failure what is built on its first use is tried again.
const lateRetry = time.Second

// behind is the configuration c of a server that is built on its first use and answers behind this one: the filters have
// seen its requests already, and what a server does beside answering is done.
func behind(c genericapiserver.Config) (genericapiserver.Config, error) {
	c.FlowControl = nil
	c.StorageObjectCountTracker = nil
	c.BuildHandlerChainFunc = func(h http.Handler, _ *genericapiserver.Config) http.Handler { return h }
	c.PostStartHooks = map[string]genericapiserver.PostStartHookConfigEntry{}
	// It would look once a second at how many requests are in a filter that there is not.
	return c, c.AddPostStartHook("max-in-flight-filter", func(genericapiserver.PostStartHookContext) error { return nil })
}

// runBehind does what such a server does beside answering while ctx lasts. It returns when the server knows all that it
// serves, or with ctx's error.
func runBehind(ctx context.Context, server *genericapiserver.GenericAPIServer) error {
	server.RunPostStartHooks(ctx)
	return wait.PollUntilContextCancel(ctx, readyInterval, true, func(context.Context) (bool, error) {
		for _, check := range server.HealthzChecks() { // each hook has one, which fails until the hook has ended
			if check.Check(nil) != nil {
				return false, nil
			}
		}
		return true, nil
	})
}

// waitFor is a hook of the start: the server is not ready before the channel is closed.
func waitFor(ready <-chan struct{}) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		select {
		case <-ready:
		case <-hook.Done():
		}
		return nil
	}
}

// notify wakes whoever waits for the channel, which has a capacity of 1.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
