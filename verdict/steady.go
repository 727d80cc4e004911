package verdict

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// A container without a readiness probe is ready the moment it runs, also for the moment before it crashes. A verdict
// wants more.
const (
	// unprobed is how long a container has to run that no probe asks.
	unprobed = 3 * time.Second
	// longer is how much longer than the run that ended a container has to run that has been restarted, and most is what is
	// asked at most.
	longer, most = 5 * time.Second, time.Minute
)

// steadyAfter is how long a container has to run before it counts.
func steadyAfter(p *corev1.Pod, s corev1.ContainerStatus) time.Duration {
	if t := s.LastTerminationState.Terminated; t != nil && s.RestartCount > 0 {
		return min(most, t.FinishedAt.Sub(t.StartedAt.Time)+longer)
	}
	probed := slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == s.Name && c.ReadinessProbe != nil })
	if probed {
		return 0
	}
	return unprobed
}

// steady takes back that a workload is ready while one of its containers has not run for long enough.
func (r *Run) steady(ctx context.Context, o *unstructured.Unstructured) (finding, bool) {
	pods, err := r.podsOf(ctx, o)
	if err != nil {
		return waits("its pods cannot be read: %v", err), false
	}
	for n := range pods {
		p := &pods[n]
		if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Running == nil { // the status of a workload lags behind
				return waits("container %s of pod %s does not run", s.Name, p.Name), false
			}
			if need, ran := steadyAfter(p, s), r.ran(s); ran < need {
				return waits("is ready; container %s has to run for %d s before that counts", s.Name, int(need.Seconds())), false
			}
		}
	}
	return finding{}, true
}

// ran is how long a container runs: by our clock since it was first seen, or by the node's, which is cut to seconds.
func (r *Run) ran(s corev1.ContainerStatus) time.Duration {
	if r.seen == nil {
		r.seen = map[string]time.Time{}
	}
	if r.seen[s.ContainerID].IsZero() {
		r.seen[s.ContainerID] = time.Now()
	}
	return max(time.Since(r.seen[s.ContainerID]), time.Since(s.State.Running.StartedAt.Time)-time.Second)
}

// podsOf are those of a workload, or the pod itself; of other kinds there are none.
func (r *Run) podsOf(ctx context.Context, o *unstructured.Unstructured) ([]corev1.Pod, error) {
	switch o.GroupVersionKind().GroupKind().String() {
	case "Pod":
		p := corev1.Pod{}
		err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &p)
		return []corev1.Pod{p}, err
	case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps":
	default:
		return nil, nil
	}
	selector := &metav1.LabelSelector{}
	written, _, err := unstructured.NestedMap(o.Object, "spec", "selector")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(written, selector)
	}
	if err != nil {
		return nil, fmt.Errorf("its selector: %w", err)
	}
	list, err := r.Client.CoreV1().Pods(o.GetNamespace()).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(selector)})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}
