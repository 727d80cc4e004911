package runtime

import (
	"fmt"
	"sync"

	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// census knows how many of a crowd's Pods are Ready, and how often each was restarted.
type census struct {
	mu       sync.Mutex // guards what follows
	ready    map[types.UID]bool
	restarts map[types.UID]int
	changed  chan struct{} // closed at the next change
}

func newCensus(pods cache.SharedIndexInformer) (*census, error) {
	c := &census{ready: map[types.UID]bool{}, restarts: map[types.UID]int{}, changed: make(chan struct{})}
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.count(obj.(*v1.Pod)) },
		UpdateFunc: func(_, obj any) { c.count(obj.(*v1.Pod)) },
		DeleteFunc: func(obj any) {
			if pod, ok := obj.(*v1.Pod); ok {
				c.note(pod.UID, false, 0)
			}
		},
	})
	return c, err
}

func (c *census) count(pod *v1.Pod) {
	restarts := 0
	for _, s := range pod.Status.ContainerStatuses {
		restarts += int(s.RestartCount)
	}
	c.note(pod.UID, status.IsReady(pod.Status), restarts)
}

func (c *census) note(uid types.UID, ready bool, restarts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready[uid] == ready && c.restarts[uid] == restarts {
		return
	}
	if ready {
		c.ready[uid] = true
	} else {
		delete(c.ready, uid)
	}
	if restarts > 0 {
		c.restarts[uid] = restarts
	} else {
		delete(c.restarts, uid)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// look tells whether a condition holds, and of the next change.
func (c *census) look(holds func(*census) bool) (changed <-chan struct{}, met bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed, holds(c)
}

// String is what a failed wait says.
func (c *census) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d pods are Ready, %d were restarted", len(c.ready), len(c.restarts))
}
