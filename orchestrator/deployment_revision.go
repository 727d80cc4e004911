package orchestrator

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The annotations by which kubectl rollout finds its way; their meaning is part
// of the Deployment API although no type declares them.
const (
	// revisionAnnotation numbers a ReplicaSet in the order of rollouts; the
	// Deployment carries that of its latest.
	revisionAnnotation = "deployment.kubernetes.io/revision"
	// historyAnnotation lists the earlier numbers of a ReplicaSet that was rolled
	// back to.
	historyAnnotation = "deployment.kubernetes.io/revision-history"
	// desiredReplicasAnnotation and maxReplicasAnnotation hold the Deployment's
	// replicas, without and with surge, at the time the ReplicaSet was sized.
	desiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	maxReplicasAnnotation     = "deployment.kubernetes.io/max-replicas"
)

// historyLength bounds historyAnnotation, in bytes, as upstream does.
const historyLength = 2000

// ownAnnotations are never copied between a Deployment and its ReplicaSets.
// Others are, kubernetes.io/change-cause among them.
func ownAnnotation(name string) bool {
	switch name {
	case corev1.LastAppliedConfigAnnotation, appsv1.DeprecatedRollbackTo,
		revisionAnnotation, historyAnnotation, desiredReplicasAnnotation, maxReplicasAnnotation:
		return true
	}
	return false
}

// revisionOf is the number of a ReplicaSet, 0 if it has none.
func revisionOf(rs *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(rs.Annotations[revisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// sizeAnnotations are what sizing leaves on each ReplicaSet.
func sizeAnnotations(d *appsv1.Deployment) map[string]string {
	surge, _ := surgeAndUnavailable(d)
	return map[string]string{
		desiredReplicasAnnotation: strconv.Itoa(int(*d.Spec.Replicas)),
		maxReplicasAnnotation:     strconv.Itoa(int(*d.Spec.Replicas + surge)),
	}
}

// revisionAnnotations are the annotations that rs should have as the latest of
// the rollout: the Deployment's own, and a number above all old ones. The number
// that it had before, if it is rolled back to, goes to its history.
func revisionAnnotations(r *rollout, rs *appsv1.ReplicaSet) map[string]string {
	annotations := maps.Clone(rs.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	for name, value := range r.d.Annotations {
		if !ownAnnotation(name) {
			annotations[name] = value
		}
	}
	var newest int64
	for _, old := range r.old {
		newest = max(newest, revisionOf(old))
	}
	was := revisionOf(rs)
	if was > newest {
		return annotations
	}
	annotations[revisionAnnotation] = strconv.FormatInt(newest+1, 10)
	if was > 0 {
		annotations[historyAnnotation] = appendHistory(annotations[historyAnnotation], was)
	}
	return annotations
}

// appendHistory adds a number to a list, and drops the oldest ones if it grows
// too long.
func appendHistory(history string, revision int64) string {
	list := strconv.FormatInt(revision, 10)
	if history != "" {
		list = history + "," + list
	}
	for len(list) > historyLength {
		_, list, _ = strings.Cut(list, ",")
	}
	return list
}

// syncRevision brings the latest ReplicaSet's annotations and the Deployment's
// number up to date.
func (c *deployments) syncRevision(ctx context.Context, r *rollout) error {
	if r.latest == nil {
		return nil
	}
	annotations := revisionAnnotations(r, r.latest)
	if !maps.Equal(annotations, r.latest.Annotations) || r.latest.Spec.MinReadySeconds != r.d.Spec.MinReadySeconds {
		got, err := c.patchSet(ctx, r, r.latest, types.MergePatchType, mustJSON(map[string]any{
			"metadata": map[string]any{"uid": r.latest.UID, "annotations": annotations},
			"spec":     map[string]any{"minReadySeconds": r.d.Spec.MinReadySeconds},
		}))
		if err != nil {
			return fmt.Errorf("number replica set %s: %w", r.latest.Name, err)
		}
		r.latest = got
	}
	setAnnotation(r.d, revisionAnnotation, annotations[revisionAnnotation])
	if progressing(&r.d.Status) == nil {
		c.noteProgress(r, corev1.ConditionTrue, "FoundNewReplicaSet", fmt.Sprintf("Found new replica set %q", r.latest.Name))
	}
	return nil
}

func setAnnotation(obj metav1.Object, name, value string) {
	annotations := maps.Clone(obj.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[name] = value
	obj.SetAnnotations(annotations)
}
