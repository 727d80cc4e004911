package limits

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// Outcome is what became of what a Pod declares now.
type Outcome int

// The outcomes of Allocations.Resize.
const (
	Unchanged Outcome = iota // it declares what it was granted
	Deferred                 // there is no room
	Accepted                 // it is granted now
	NotKept                  // what it would be granted could not be written to its directory: it keeps what it has
)

// Resize is the decision about the resize of a Pod that was admitted.
type Resize struct {
	Pod      *v1.Pod // with what it was granted: all that follows goes by that
	Outcome  Outcome
	Shortage *pods.Reason // of what it is deferred for
}

// Resize grants a Pod that was admitted what it declares now, if it is something else and there is room. If there is none,
// even on an empty node, the resize waits: a kubelet calls infeasible only what its configuration rules out. Admitted
// is false of a Pod that was not.
// https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
func (a *Allocations) Resize(pod *v1.Pod) (r Resize, admitted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	granted, admitted := a.grants[pod.UID]
	if !admitted {
		return r, false
	}
	declared := grantOf(pod)
	if granted.equal(declared) {
		delete(a.deferred, pod.UID)
		return Resize{Pod: pod, Outcome: Unchanged}, true
	}
	if r := shortage(pod, a.admittedPods(pod.UID), a.node.Allocatable()); r != nil {
		a.deferred[pod.UID] = pods.RefOf(pod)
		return Resize{Pod: granted.apply(pod), Outcome: Deferred, Shortage: r}, true
	}
	if err := declared.keep(a.node.Dirs.Pod(pod.UID)); err != nil {
		a.node.Log.Warn("a pod is not resized: what it was granted cannot be kept", "pod", pods.RefOf(pod), "error", err)
		return Resize{Pod: granted.apply(pod), Outcome: NotKept}, true
	}
	a.grants[pod.UID] = &holding{grant: declared}
	delete(a.deferred, pod.UID)
	return Resize{Pod: pod, Outcome: Accepted}, true
}

// ResizeProgress is how far a Pod's resize is: the two conditions that tell of it. Its zero value knows of none.
type ResizeProgress struct {
	recalled            bool
	pending, inProgress *v1.PodCondition
}

// Recall finds the conditions of an earlier life of the agent in the Pod's status, the first time that it is called.
func (r *ResizeProgress) Recall(pod *v1.Pod) {
	if r.recalled {
		return
	}
	r.recalled = true
	for kind, at := range map[v1.PodConditionType]**v1.PodCondition{v1.PodResizePending: &r.pending, v1.PodResizeInProgress: &r.inProgress} {
		if _, old := podutil.GetPodConditionFromList(pod.Status.Conditions, kind); old != nil {
			*at = old.DeepCopy()
		}
	}
}

// Conditions are those that hold.
func (r *ResizeProgress) Conditions() (out []v1.PodCondition) {
	for _, c := range []*v1.PodCondition{r.pending, r.inProgress} {
		if c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// None notes that the Pod declares what it was granted.
func (r *ResizeProgress) None() { r.pending = nil }

// Defer notes that there is no room for what the Pod declares now, and tells whether that is news.
func (r *ResizeProgress) Defer(pod *v1.Pod, message string, now time.Time) (news bool) {
	return setCondition(&r.pending, v1.PodResizePending, v1.PodReasonDeferred, message, pod.Generation, now)
}

// Begin notes that the Pod's containers are to be changed.
func (r *ResizeProgress) Begin(pod *v1.Pod, now time.Time) {
	r.pending, r.inProgress = nil, nil
	setCondition(&r.inProgress, v1.PodResizeInProgress, "", "", pod.Generation, now)
}

// Fail notes what keeps them from being changed. It returns the generation that the resize belongs to, and whether the
// failure is news.
func (r *ResizeProgress) Fail(pod *v1.Pod, err error, now time.Time) (generation int64, news bool) {
	generation, said := pod.Generation, ""
	if old := r.inProgress; old != nil {
		generation, said = old.ObservedGeneration, old.Message
	}
	setCondition(&r.inProgress, v1.PodResizeInProgress, v1.PodReasonError, err.Error(), generation, now)
	return generation, said != err.Error()
}

// Complete notes that nothing is left to be changed, and tells whether there was, and of which generation.
func (r *ResizeProgress) Complete() (generation int64, was bool) {
	if r.inProgress == nil {
		return 0, false
	}
	generation, r.inProgress = r.inProgress.ObservedGeneration, nil
	return generation, true
}

// setCondition makes a condition hold and tells whether that is news. A condition that goes on
// keeps its time.
func setCondition(at **v1.PodCondition, kind v1.PodConditionType, reason, message string, generation int64, now time.Time) bool {
	old := *at
	*at = &v1.PodCondition{
		Type: kind, Status: v1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: generation,
		LastTransitionTime: pods.WholeSeconds(now),
	}
	if old == nil {
		return true
	}
	(*at).LastTransitionTime = old.LastTransitionTime
	return old.Reason != reason || old.ObservedGeneration != generation
}

// CheckDecrease tells why a container cannot be bound to less memory, in a kubelet's words: a limit below what is in use
// would have the kernel end it. InUse reads that, in bytes, and is called only if it matters.
func CheckDecrease(container string, have, want docker.Resources, inUse func() (int64, error)) error {
	if want.Memory == 0 || have.Memory != 0 && want.Memory >= have.Memory {
		return nil
	}
	used, err := inUse()
	if err != nil && have.Memory > 0 { // with no bound there may be nothing that counts
		return fmt.Errorf("cannot decrease memory limits: missing container %q memory usage", container)
	}
	if used >= want.Memory {
		return fmt.Errorf("cannot decrease memory limits: attempting to set container %q memory limit (%d) below current usage (%d)",
			container, want.Memory, used)
	}
	return nil
}

// ResizeMessage is that of an event about a resize, in a kubelet's form: what the containers declare, as JSON.
func ResizeMessage(prefix string, pod *v1.Pod, generation int64, failure string) string {
	type container struct {
		Name      string                  `json:"name"`
		Resources v1.ResourceRequirements `json:"resources"`
	}
	summary := struct {
		InitContainers []container `json:"initContainers,omitempty"`
		Containers     []container `json:"containers,omitempty"`
		Generation     int64       `json:"generation"`
		Error          string      `json:"error,omitempty"`
	}{Generation: generation, Error: failure}
	for _, c := range pod.Spec.InitContainers {
		summary.InitContainers = append(summary.InitContainers, container{c.Name, c.Resources})
	}
	for _, c := range pod.Spec.Containers {
		summary.Containers = append(summary.Containers, container{c.Name, c.Resources})
	}
	text, err := json.Marshal(summary)
	if err != nil {
		return prefix
	}
	return prefix + ": " + string(text)
}
