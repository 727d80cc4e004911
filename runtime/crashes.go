package runtime

import (
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/flowcontrol"
)

// A container that ends is started again at once the first time, then after these
// delays; ten minutes (twice the longest) without an end make it new again.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
const (
	crashFirst = 10 * time.Second
	crashMax   = 5 * time.Minute
)

// crashes keeps the delay of each container that ended.
type crashes struct{ entries *flowcontrol.Backoff }

func newCrashes() *crashes { return &crashes{flowcontrol.NewBackOff(crashFirst, crashMax)} }

// Waits implements backoffs.
func (c *crashes) Waits(key string, finished time.Time) (time.Duration, time.Time, bool) {
	if !c.entries.IsInBackOffSince(key, finished) {
		return 0, time.Time{}, false
	}
	delay := c.entries.Get(key)
	return delay, finished.Add(delay), true
}

// started notes that a container which ended is started again.
func (c *crashes) started(key string, finished time.Time) { c.entries.Next(key, finished) }

// forget drops the entries of a Pod that is gone.
func (c *crashes) forget(pod *v1.Pod) {
	for _, list := range [][]v1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for n := range list {
			c.entries.DeleteEntry(pods.BackoffKey(pod, list[n].Name))
		}
	}
}
