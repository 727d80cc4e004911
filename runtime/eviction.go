package runtime

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/scheduling"
)

const (
	// measurePeriod is how often the disk space of Pods is measured that have a limit of it;
	// a kubelet's period.
	measurePeriod = 10 * time.Second
	// measureShare bounds what that costs: a Pod whose measurement takes long is not measured
	// again for so many times as long.
	measureShare = 20
	// evictionGrace is what the containers of a Pod get that is evicted for its own limit; a
	// kubelet's.
	evictionGrace = time.Second

	reasonEvicted = "Evicted"
)

// evictions are the Pods that took more disk space than they may, found by one goroutine
// for the Pods' workers.
type evictions struct {
	mu  sync.Mutex // guards what follows
	due map[types.UID]string
}

// watchDisk measures the Pods that limit their disk space, and no others, until ctx ends.
// One that holds millions of files does not keep the others from being measured.
func (a *Agent) watchDisk(ctx context.Context) error {
	next := map[types.UID]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(measurePeriod):
		}
		before := next
		next = map[types.UID]time.Time{}
		for _, pod := range a.nodesPods() {
			if pod.DeletionTimestamp != nil || !limitsDisk(pod) || isCritical(pod) {
				continue
			}
			next[pod.UID] = before[pod.UID]
			if began := a.now(); !began.Before(next[pod.UID]) {
				a.measure(ctx, pod)
				next[pod.UID] = a.now().Add(measureShare * a.now().Sub(began))
			}
		}
	}
}

// measure has a Pod evicted that takes too much.
func (a *Agent) measure(ctx context.Context, pod *v1.Pod) {
	taken, err := a.diskTaken(ctx, pod)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("the disk space of a pod cannot be measured", "pod", pods.RefOf(pod), "error", err)
		}
		return
	}
	if message := taken.exceeds(pod); message != "" {
		a.evictions.mu.Lock()
		a.evictions.due[pod.UID] = message
		a.evictions.mu.Unlock()
		a.workers.enqueue(pods.RefOf(pod))
	}
}

// checkEviction fails a Pod that was found to take too much.
// https://kubernetes.io/docs/concepts/storage/ephemeral-storage/#how-pods-with-ephemeral-storage-limits-run
func (a *Agent) checkEviction(pod *v1.Pod, s *podState) {
	a.evictions.mu.Lock()
	message, due := a.evictions.due[pod.UID]
	delete(a.evictions.due, pod.UID)
	a.evictions.mu.Unlock()
	if !due || s.failure != nil || pods.IsFinal(pod.Status.Phase) {
		return
	}
	a.event(pod, nil, v1.EventTypeWarning, reasonEvicted, "%s", message)
	s.fail(reasonEvicted, message)
}

// limitsDisk tells whether anything of the Pod has a limit of disk space.
func limitsDisk(pod *v1.Pod) bool {
	if limit := pods.Limits(pod)[v1.ResourceEphemeralStorage]; !limit.IsZero() {
		return true
	}
	for _, v := range pod.Spec.Volumes {
		if limitedDir(v) {
			return true
		}
	}
	return false
}

// limitedDir tells of a directory on disk with a limit; in memory its own size is one.
func limitedDir(v v1.Volume) bool {
	return pods.OnDisk(v) && v.EmptyDir.SizeLimit != nil && v.EmptyDir.SizeLimit.Sign() > 0
}

// isCritical tells of Pods that are never evicted.
func isCritical(pod *v1.Pod) bool {
	return pod.Spec.Priority != nil && *pod.Spec.Priority >= scheduling.SystemCriticalPriority
}

// diskUse is the disk space of a Pod's parts, in bytes, by name.
type diskUse struct {
	volumes    map[string]int64 // emptyDir and configMap
	containers map[string]int64 // what they wrote over their images, and logs
	files      int64            // /etc/hosts and termination messages
}

// diskTaken measures a Pod.
func (a *Agent) diskTaken(ctx context.Context, pod *v1.Pod) (diskUse, error) {
	use := diskUse{volumes: map[string]int64{}, containers: map[string]int64{}}
	for _, v := range pod.Spec.Volumes {
		if !pods.OnDisk(v) && v.ConfigMap == nil {
			continue
		}
		tree, err := usage.Tree(ctx, a.dirs.Volume(pod.UID, v))
		if err != nil {
			return use, err
		}
		use.volumes[v.Name] = tree.Bytes
	}
	for _, name := range []string{hostsFile, resolvConfFile, messagesDir} { // containers can write to them
		tree, err := usage.Tree(ctx, filepath.Join(a.dirs.Pod(pod.UID), name))
		if err != nil {
			return use, err
		}
		use.files += tree.Bytes
	}
	for _, i := range a.mirror.Pod(pod.UID) {
		if i.IsSandbox() || !i.Running() {
			continue
		}
		bytes, err := a.written(ctx, i)
		if err != nil {
			return use, err
		}
		use.containers[i.ContainerName] = bytes
	}
	return use, nil
}

// written is what a container takes beside its image.
func (a *Agent) written(ctx context.Context, i pods.Instance) (int64, error) {
	logs, err := usage.Logs(i.LogPath)
	if err != nil {
		return 0, err
	}
	if i.UpperDir == "" { // a storage driver that does not say where it writes
		size, err := a.engine.Written(ctx, i.ID)
		return logs.Bytes + size, err
	}
	tree, err := usage.Tree(ctx, i.UpperDir)
	return logs.Bytes + tree.Bytes, err
}

// exceeds says which limit is exceeded, in a kubelet's words and order; empty: none.
func (u diskUse) exceeds(pod *v1.Pod) string {
	for _, v := range pod.Spec.Volumes {
		if limitedDir(v) && u.volumes[v.Name] > v.EmptyDir.SizeLimit.Value() {
			return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q. ", v.Name, v.EmptyDir.SizeLimit.String())
		}
	}
	if limit, ok := pods.Limits(pod)[v1.ResourceEphemeralStorage]; ok && u.total() > limit.Value() {
		return fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s. ", limit.String())
	}
	for _, c := range pod.Spec.Containers {
		limit := c.Resources.Limits[v1.ResourceEphemeralStorage]
		if !limit.IsZero() && u.containers[c.Name] > limit.Value() {
			return fmt.Sprintf("Container %s exceeded its local ephemeral storage limit %q. ", c.Name, limit.String())
		}
	}
	return ""
}

func (u diskUse) total() (sum int64) {
	for _, part := range []map[string]int64{u.volumes, u.containers} {
		for _, bytes := range part {
			sum += bytes
		}
	}
	return sum + u.files
}
