package limits

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// MeasurePeriod is how often the disk space of Pods is measured that have a limit of it;
	// a kubelet's period.
	MeasurePeriod = 10 * time.Second
	// measureShare bounds what that costs: a Pod whose measurement takes long is not measured
	// again for so many times as long.
	measureShare = 20
	// EvictionGrace is what the containers of a Pod get that is evicted for its own limit; a
	// kubelet's.
	EvictionGrace = time.Second
	// ReasonEvicted is that of the Pod's status.
	ReasonEvicted = "Evicted"
)

// Disk is what Evictions measure, and whom they tell.
type Disk struct {
	// Dirs has the Pods' volumes.
	Dirs pods.Dirs
	// Files are what else in a Pod's directory its containers can write to, by name.
	Files []string
	// Pods are those of this node that are not over.
	Pods func() []*v1.Pod
	// Instances are a Pod's, as Docker has them.
	Instances func(types.UID) []pods.Instance
	// Written asks the engine what a container wrote over its image, in bytes.
	Written func(ctx context.Context, id string) (int64, error)
	// Enqueue has a Pod looked at soon.
	Enqueue func(pods.Ref)
	Now     func() time.Time
	Log     *slog.Logger
}

// Evictions are the Pods that took more disk space than they may, found by one goroutine, Run, for whoever ends them.
// https://kubernetes.io/docs/concepts/storage/ephemeral-storage/#how-pods-with-ephemeral-storage-limits-run
type Evictions struct {
	disk Disk

	mu  sync.Mutex // guards what follows
	due map[types.UID]string
}

// NewEvictions makes them.
func NewEvictions(d Disk) *Evictions { return &Evictions{disk: d, due: map[types.UID]string{}} }

// Run measures the Pods that limit their disk space, and no others, until ctx ends.
// One that holds millions of files does not keep the others from being measured.
func (e *Evictions) Run(ctx context.Context) error {
	next := map[types.UID]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(MeasurePeriod):
		}
		before := next
		next = map[types.UID]time.Time{}
		for _, pod := range e.disk.Pods() {
			if pod.DeletionTimestamp != nil || !limitsDisk(pod) || isCritical(pod) {
				continue
			}
			next[pod.UID] = before[pod.UID]
			if began := e.disk.Now(); !began.Before(next[pod.UID]) {
				e.measure(ctx, pod)
				next[pod.UID] = e.disk.Now().Add(measureShare * e.disk.Now().Sub(began))
			}
		}
	}
}

// measure has a Pod evicted that takes too much.
func (e *Evictions) measure(ctx context.Context, pod *v1.Pod) {
	taken, err := e.diskTaken(ctx, pod)
	if err != nil {
		if ctx.Err() == nil {
			e.disk.Log.Warn("the disk space of a pod cannot be measured", "pod", pods.RefOf(pod), "error", err)
		}
		return
	}
	if message := taken.exceeds(pod); message != "" {
		e.mu.Lock()
		e.due[pod.UID] = message
		e.mu.Unlock()
		e.disk.Enqueue(pods.RefOf(pod))
	}
}

// Take tells why a Pod is to be evicted, once; due is false if it is not.
func (e *Evictions) Take(uid types.UID) (message string, due bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	message, due = e.due[uid]
	delete(e.due, uid)
	return message, due
}

// diskTaken measures a Pod.
func (e *Evictions) diskTaken(ctx context.Context, pod *v1.Pod) (diskUse, error) {
	use := diskUse{volumes: map[string]int64{}, containers: map[string]int64{}}
	for _, v := range pod.Spec.Volumes {
		if !pods.OnDisk(v) && v.ConfigMap == nil {
			continue
		}
		tree, err := usage.Tree(ctx, e.disk.Dirs.Volume(pod.UID, v))
		if err != nil {
			return use, err
		}
		use.volumes[v.Name] = tree.Bytes
	}
	for _, name := range e.disk.Files {
		tree, err := usage.Tree(ctx, filepath.Join(e.disk.Dirs.Pod(pod.UID), name))
		if err != nil {
			return use, err
		}
		use.files += tree.Bytes
	}
	for _, i := range e.disk.Instances(pod.UID) {
		if i.IsSandbox() || !i.Running() {
			continue
		}
		bytes, err := e.written(ctx, i)
		if err != nil {
			return use, err
		}
		use.containers[i.ContainerName] = bytes
	}
	return use, nil
}

// written is what a container takes beside its image.
func (e *Evictions) written(ctx context.Context, i pods.Instance) (int64, error) {
	logs, err := usage.Logs(i.LogPath)
	if err != nil {
		return 0, err
	}
	if i.UpperDir == "" { // a storage driver that does not say where it writes
		size, err := e.disk.Written(ctx, i.ID)
		return logs.Bytes + size, err
	}
	tree, err := usage.Tree(ctx, i.UpperDir)
	return logs.Bytes + tree.Bytes, err
}
