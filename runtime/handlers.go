package runtime

import (
	"errors"
	"fmt"

	"k8s.io/client-go/tools/cache"
)

// handlers are what the agent has registered with informers. They are other agents' informers too, and go on without it.
type handlers struct{ remove []func() error }

// add registers a handler with an informer.
func (h *handlers) add(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) error {
	registration, err := informer.AddEventHandler(handler)
	if err != nil {
		return err
	}
	h.remove = append(h.remove, func() error { return informer.RemoveEventHandler(registration) })
	return nil
}

// removeAll takes all of them back.
func (h *handlers) removeAll() error {
	var errs []error
	for _, remove := range h.remove {
		errs = append(errs, remove())
	}
	h.remove = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("runtime: leave the informers: %w", err)
	}
	return nil
}
