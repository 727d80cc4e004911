package prune

import (
	"context"
	"slices"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
)

// Remaining is what an instance has on the engine.
type Remaining struct {
	// Pods have a running container beside their sandbox. Each is NAMESPACE/NAME, in order.
	Pods []string
	// Containers are all there are, dead ones and sandboxes too.
	Containers int
}

// Remain finds what is left of an instance, for those who wait for its end.
func Remain(ctx context.Context, engine interface {
	List(ctx context.Context, labels map[string]string) ([]docker.Container, error)
}, instanceName string) (Remaining, error) {
	found, err := engine.List(ctx, docker.InstanceLabel(instanceName))
	if err != nil {
		return Remaining{}, err
	}
	r := Remaining{Containers: len(found)}
	for _, c := range found {
		if i, ok := pods.InstanceOf(c); ok && c.Running() && !i.IsSandbox() {
			r.Pods = append(r.Pods, i.Pod.Namespace+"/"+i.Pod.Name)
		}
	}
	slices.Sort(r.Pods)
	r.Pods = slices.Compact(r.Pods)
	return r, nil
}
