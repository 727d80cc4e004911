package orchestrator

import (
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// This file is the arithmetic of rollouts: pure functions from what is to what
// each ReplicaSet's size should be. It follows
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment.

// surge is how many pods may run beyond the asked number during a rollout, and
// unavailable how many of it may be missing. Percentages are of replicas; surge
// rounds up, unavailable down, and both are never 0: a rollout must be able to
// move.
func surgeAndUnavailable(d *appsv1.Deployment) (surge, unavailable int32) {
	update := d.Spec.Strategy.RollingUpdate
	if d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || update == nil {
		return 0, 0
	}
	replicas := *d.Spec.Replicas
	surge = scaled(update.MaxSurge, replicas, true)
	unavailable = scaled(update.MaxUnavailable, replicas, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, replicas)
}

// scaled resolves a number or percentage; validation has refused what is neither.
func scaled(value *intstr.IntOrString, total int32, up bool) int32 {
	if value == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(value, int(total), up)
	if err != nil {
		return 0
	}
	return int32(n)
}

// replicasOf sums what ReplicaSets ask for.
func replicasOf(sets []*appsv1.ReplicaSet) int32 {
	var n int32
	for _, rs := range sets {
		n += *rs.Spec.Replicas
	}
	return n
}

// availableOf sums the available pods of ReplicaSets.
func availableOf(sets []*appsv1.ReplicaSet) int32 {
	var n int32
	for _, rs := range sets {
		n += rs.Status.AvailableReplicas
	}
	return n
}

// sureOf is how many pods of rs will stay available: a ReplicaSet that was just
// told to shrink still shows the pods that it is about to end.
func sureOf(rs *appsv1.ReplicaSet) int32 {
	return min(rs.Status.AvailableReplicas, *rs.Spec.Replicas)
}

func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	return slices.DeleteFunc(slices.Clone(sets), func(rs *appsv1.ReplicaSet) bool { return *rs.Spec.Replicas == 0 })
}

// latestSize is the size that the latest ReplicaSet may have now.
func latestSize(r *rollout) int32 {
	var now int32
	if r.latest != nil {
		now = *r.latest.Spec.Replicas
	}
	want := *r.d.Spec.Replicas
	if r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || now >= want {
		return want
	}
	surge, _ := surgeAndUnavailable(r.d)
	room := want + surge - replicasOf(r.all())
	if room <= 0 {
		return now
	}
	return now + min(room, want-now)
}

// oldSizes are the sizes of the old ReplicaSets after the next step down: first
// pods that are not available, since ending them costs nothing, then available
// ones while enough of all pods stay available.
func oldSizes(r *rollout) map[string]int32 {
	old := active(r.old)
	sizes := map[string]int32{}
	_, unavailable := surgeAndUnavailable(r.d)
	least := *r.d.Spec.Replicas - unavailable
	starting := *r.latest.Spec.Replicas - sureOf(r.latest)
	total := replicasOf(old) + *r.latest.Spec.Replicas
	unhealthy := total - least - starting
	if unhealthy <= 0 {
		return sizes
	}
	healthy := sureOf(r.latest) - least
	for _, rs := range old {
		n := min(unhealthy, *rs.Spec.Replicas-sureOf(rs))
		sizes[rs.Name] = *rs.Spec.Replicas - n
		unhealthy -= n
		healthy += sureOf(rs)
	}
	for _, rs := range old {
		n := max(min(healthy, sizes[rs.Name]), 0)
		sizes[rs.Name] -= n
		healthy -= n
	}
	return sizes
}

// wantsRescale tells whether the Deployment's replicas have changed since its
// ReplicaSets were sized, by the annotation that sizing leaves on them.
func wantsRescale(r *rollout) bool {
	for _, rs := range active(r.all()) {
		desired, ok := countAnnotation(rs, desiredReplicasAnnotation)
		if ok && desired != *r.d.Spec.Replicas {
			return true
		}
	}
	return false
}

// rescaledSizes are the sizes after a change of the Deployment's replicas, while
// the rollout stands still. Names without an entry keep their size.
func rescaledSizes(r *rollout) map[string]int32 {
	want := *r.d.Spec.Replicas
	sets := active(r.all())
	switch {
	case len(sets) == 1:
		return map[string]int32{sets[0].Name: want}
	case len(sets) == 0 && r.latest != nil:
		return map[string]int32{r.latest.Name: want}
	case len(sets) == 0 && len(r.old) > 0:
		return map[string]int32{r.old[len(r.old)-1].Name: want}
	case len(sets) == 0:
		return nil
	case saturated(r):
		sizes := map[string]int32{}
		for _, rs := range active(r.old) {
			sizes[rs.Name] = 0
		}
		return sizes
	case r.d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType:
		return proportionalSizes(r.d, sets)
	}
	sizes := map[string]int32{}
	for _, rs := range sets { // as they are, but marked with the new total
		sizes[rs.Name] = *rs.Spec.Replicas
	}
	return sizes
}

// saturated tells whether the latest ReplicaSet runs all that is wanted.
func saturated(r *rollout) bool {
	if r.latest == nil {
		return false
	}
	desired, ok := countAnnotation(r.latest, desiredReplicasAnnotation)
	want := *r.d.Spec.Replicas
	return ok && desired == want && *r.latest.Spec.Replicas == want && r.latest.Status.AvailableReplicas == want
}

// proportionalSizes spreads a change of the total over sets in proportion to
// their sizes, the largest first, which also takes what rounding leaves. See
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling.
func proportionalSizes(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) map[string]int32 {
	var allowed int32
	if *d.Spec.Replicas > 0 {
		surge, _ := surgeAndUnavailable(d)
		allowed = *d.Spec.Replicas + surge
	}
	change := allowed - replicasOf(sets)
	sets = slices.Clone(sets)
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		if *a.Spec.Replicas != *b.Spec.Replicas {
			return int(*b.Spec.Replicas - *a.Spec.Replicas)
		}
		if change > 0 { // among equals the newer grows, and the older shrinks
			return compareCreation(b, a)
		}
		return compareCreation(a, b)
	})
	sizes := map[string]int32{}
	left := change
	for _, rs := range sets {
		share := shareOf(rs, d)
		if change > 0 {
			share = min(share, left)
		} else {
			share = max(share, left)
		}
		if left == 0 {
			share = 0
		}
		sizes[rs.Name] = *rs.Spec.Replicas + share
		left -= share
	}
	sizes[sets[0].Name] = max(sizes[sets[0].Name]+left, 0)
	return sizes
}

// shareOf is by how much rs grows if it keeps its part of the Deployment.
func shareOf(rs *appsv1.ReplicaSet, d *appsv1.Deployment) int32 {
	if *d.Spec.Replicas == 0 {
		return -*rs.Spec.Replicas
	}
	before, ok := countAnnotation(rs, maxReplicasAnnotation)
	if !ok || before == 0 {
		before = d.Status.Replicas
	}
	if before == 0 {
		return 0
	}
	surge, _ := surgeAndUnavailable(d)
	size := float64(*rs.Spec.Replicas) * float64(*d.Spec.Replicas+surge) / float64(before)
	return int32(math.Round(size)) - *rs.Spec.Replicas
}

// compareCreation orders ReplicaSets from old to new.
func compareCreation(a, b *appsv1.ReplicaSet) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	if a.Name < b.Name {
		return -1
	}
	return 1
}

// countAnnotation reads an annotation that is a count.
func countAnnotation(rs *appsv1.ReplicaSet, name string) (int32, bool) {
	n, err := strconv.ParseInt(rs.Annotations[name], 10, 32)
	return int32(n), err == nil && n >= 0
}
