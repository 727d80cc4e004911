package orchestrator

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// podActive tells whether a pod counts as a replica.
func podActive(pod *corev1.Pod) bool {
	return !podutil.IsPodTerminal(pod) && pod.DeletionTimestamp == nil
}

// podTerminating tells whether a pod is deleted but its containers may still run.
func podTerminating(pod *corev1.Pod) bool {
	return !podutil.IsPodTerminal(pod) && pod.DeletionTimestamp != nil
}

// podsToDelete picks count of pods, those whose loss costs least first. Siblings
// are all active pods of the same application.
func podsToDelete(pods, siblings []*corev1.Pod, count int, now time.Time) []*corev1.Pod {
	if count >= len(pods) {
		return pods
	}
	onNode := map[string]int{}
	for _, pod := range siblings {
		onNode[pod.Spec.NodeName]++
	}
	ranked := slices.Clone(pods)
	slices.SortStableFunc(ranked, func(a, b *corev1.Pod) int { return compareLoss(a, b, onNode, now) })
	return ranked[:count]
}

// compareLoss is negative when a should be deleted before b. The order is that of
// https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset:
// unscheduled, pending, not ready, cheaper by annotation, on a crowded node,
// ready for a shorter time, restarted more often, younger. Times are compared by
// their magnitude only, so that among pods of like age the choice is arbitrary.
func compareLoss(a, b *corev1.Pod, onNode map[string]int, now time.Time) int {
	readyA, readyB := podutil.IsPodReady(a), podutil.IsPodReady(b)
	order := cmp.Or(
		compareBool(a.Spec.NodeName != "", b.Spec.NodeName != ""),
		cmp.Compare(phaseRank(a), phaseRank(b)),
		compareBool(readyA, readyB),
		cmp.Compare(deletionCost(a), deletionCost(b)),
		-cmp.Compare(onNode[a.Spec.NodeName], onNode[b.Spec.NodeName]),
	)
	if order == 0 && readyA && readyB {
		if order = compareAge(readySince(a), readySince(b), now); order == 0 && !readySince(a).Equal(readySince(b)) {
			return cmp.Compare(a.UID, b.UID)
		}
	}
	return cmp.Or(order,
		-cmp.Compare(restarts(a, false), restarts(b, false)),
		-cmp.Compare(restarts(a, true), restarts(b, true)),
		compareAge(a.CreationTimestamp.Time, b.CreationTimestamp.Time, now),
		cmp.Compare(a.UID, b.UID),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func phaseRank(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodPending:
		return 0
	case corev1.PodUnknown:
		return 1
	}
	return 2
}

// deletionCost reads the annotation; a value that is no number counts as 0.
func deletionCost(pod *corev1.Pod) int {
	cost, err := strconv.ParseInt(pod.Annotations[corev1.PodDeletionCost], 10, 32)
	if err != nil {
		return 0
	}
	return int(cost)
}

// compareAge is negative when a is the younger by an order of magnitude (base 2);
// an unknown time is the youngest.
func compareAge(a, b time.Time, now time.Time) int {
	if a.IsZero() || b.IsZero() {
		return compareBool(!a.IsZero(), !b.IsZero())
	}
	return cmp.Compare(magnitude(now.Sub(a)), magnitude(now.Sub(b)))
}

func magnitude(d time.Duration) int {
	if d <= 0 {
		return -1
	}
	return int(math.Log2(float64(d)))
}

func readySince(pod *corev1.Pod) time.Time {
	if c := podutil.GetPodReadyCondition(pod.Status); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// restarts is the highest restart count among a pod's containers, or among its
// sidecars: the init containers that restart always.
func restarts(pod *corev1.Pod, sidecars bool) int {
	most := 0
	if !sidecars {
		for _, s := range pod.Status.ContainerStatuses {
			most = max(most, int(s.RestartCount))
		}
		return most
	}
	for _, s := range pod.Status.InitContainerStatuses {
		if slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool {
			return c.Name == s.Name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}) {
			most = max(most, int(s.RestartCount))
		}
	}
	return most
}

// replicaSetStatus is the status that rs should show.
func replicaSetStatus(rs *appsv1.ReplicaSet, active, terminating []*corev1.Pod, scaleErr error, now time.Time) appsv1.ReplicaSetStatus {
	status := appsv1.ReplicaSetStatus{
		Replicas:            int32(len(active)),
		TerminatingReplicas: new(int32(len(terminating))),
		ObservedGeneration:  rs.Generation,
		Conditions:          replicaSetConditions(rs, len(active), scaleErr, now),
	}
	template := labels.SelectorFromSet(rs.Spec.Template.Labels)
	for _, pod := range active {
		if template.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		if podutil.IsPodReady(pod) {
			status.ReadyReplicas++
		}
		if podutil.IsPodAvailable(pod, rs.Spec.MinReadySeconds, metav1.Time{Time: now}) {
			status.AvailableReplicas++
		}
	}
	return status
}

// replicaSetConditions sets or removes the one condition that a ReplicaSet has.
// One that stands keeps its first message and time.
func replicaSetConditions(rs *appsv1.ReplicaSet, active int, scaleErr error, now time.Time) []appsv1.ReplicaSetCondition {
	failing := func(c appsv1.ReplicaSetCondition) bool { return c.Type == appsv1.ReplicaSetReplicaFailure }
	switch {
	case scaleErr == nil:
		return slices.DeleteFunc(slices.Clone(rs.Status.Conditions), failing)
	case slices.ContainsFunc(rs.Status.Conditions, failing):
		return rs.Status.Conditions
	}
	reason := "FailedCreate"
	if active > int(*rs.Spec.Replicas) {
		reason = "FailedDelete"
	}
	return append(slices.Clone(rs.Status.Conditions), appsv1.ReplicaSetCondition{
		Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.Time{Time: now}, Reason: reason, Message: scaleErr.Error(),
	})
}

// nextAvailable is how long until the first ready pod has been ready for
// minReady seconds; 0 if none is waiting for that.
func nextAvailable(pods []*corev1.Pod, minReady int32, now time.Time) time.Duration {
	var first time.Duration
	for _, pod := range pods {
		since := readySince(pod)
		if minReady <= 0 || since.IsZero() {
			continue
		}
		wait := since.Add(time.Duration(minReady) * time.Second).Sub(now)
		if wait > 0 && (first == 0 || wait < first) {
			first = wait
		}
	}
	return first
}
