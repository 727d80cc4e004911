package orchestrator

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"
	hashutil "k8s.io/kubernetes/pkg/util/hash"
)

// This file writes the ReplicaSets of a Deployment.

// splitByTemplate finds the ReplicaSet with d's template, the oldest if there are
// several, and sorts the others by age.
func splitByTemplate(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (latest *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) {
	sets = slices.Clone(sets)
	slices.SortFunc(sets, compareCreation)
	for _, rs := range sets {
		if latest == nil && sameTemplate(&d.Spec.Template, &rs.Spec.Template) {
			latest = rs
			continue
		}
		old = append(old, rs)
	}
	return latest, old
}

// sameTemplate compares templates but for the hash label, which is of the set.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	x, y := *a, *b
	x.Labels, y.Labels = withoutHash(a.Labels), withoutHash(b.Labels)
	return apiequality.Semantic.DeepEqual(x, y)
}

func withoutHash(labels map[string]string) map[string]string {
	labels = maps.Clone(labels)
	delete(labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return labels
}

// templateHash names a template. Each collision that was met changes it.
func templateHash(template *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	hashutil.DeepHashObject(h, *template)
	if collisions != nil {
		c := uint32(*collisions) // as 8 bytes, low ones first: so did every Kubernetes
		_, _ = h.Write([]byte{byte(c), byte(c >> 8), byte(c >> 16), byte(c >> 24), 0, 0, 0, 0})
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// newSet is the ReplicaSet for the current template.
func newSet(r *rollout) *appsv1.ReplicaSet {
	d := r.d
	hash := templateHash(&d.Spec.Template, d.Status.CollisionCount)
	template := d.Spec.Template.DeepCopy()
	selector := d.Spec.Selector.DeepCopy()
	for _, labels := range []*map[string]string{&template.Labels, &selector.MatchLabels} {
		if *labels == nil {
			*labels = map[string]string{}
		}
		(*labels)[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	}
	name := d.Name[:min(len(d.Name), validation.DNS1123SubdomainMaxLength-1-len(hash))] + "-" + hash
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: d.Namespace, Labels: maps.Clone(template.Labels),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, deploymentKind)},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: new(latestSize(r)), MinReadySeconds: d.Spec.MinReadySeconds,
			Selector: selector, Template: *template,
		},
	}
	rs.Annotations = revisionAnnotations(r, rs)
	maps.Copy(rs.Annotations, sizeAnnotations(d))
	return rs
}

// createSet creates the ReplicaSet for the current template. It leaves r.latest
// nil when the name is taken by another template: the collision count that it
// raises makes the next reconcile try another name.
func (c *deployments) createSet(ctx context.Context, r *rollout) error {
	rs := newSet(r)
	got, err := c.client.AppsV1().ReplicaSets(rs.Namespace).Create(ctx, rs, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return c.adoptOrEvade(ctx, r, rs.Name)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	case err != nil:
		message := fmt.Sprintf("Failed to create new replica set %q: %v", rs.Name, err)
		c.noteProgress(r, corev1.ConditionFalse, "ReplicaSetCreateError", message)
		c.recorder.Event(r.d, corev1.EventTypeWarning, "ReplicaSetCreateError", message)
		return fmt.Errorf("create replica set %s: %w", rs.Name, err)
	}
	c.writes.wrote(r.key, c.sets, got)
	if n := *got.Spec.Replicas; n > 0 {
		c.recorder.Eventf(r.d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled up replica set %s from 0 to %d", got.Name, n)
	}
	c.noteProgress(r, corev1.ConditionTrue, "NewReplicaSetCreated", fmt.Sprintf("Created new replica set %q", got.Name))
	r.latest = got
	setAnnotation(r.d, revisionAnnotation, got.Annotations[revisionAnnotation])
	return nil
}

func (c *deployments) adoptOrEvade(ctx context.Context, r *rollout, name string) error {
	rs, err := c.client.AppsV1().ReplicaSets(r.d.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read replica set %s, whose name is taken: %w", name, err)
	}
	if metav1.IsControlledBy(rs, r.d) && sameTemplate(&r.d.Spec.Template, &rs.Spec.Template) {
		r.latest = rs
		return nil
	}
	var count int32
	if r.d.Status.CollisionCount != nil {
		count = *r.d.Status.CollisionCount
	}
	r.d.Status.CollisionCount = new(count + 1)
	return nil
}

// resize gives the named ReplicaSets their sizes, and tells whether one changed.
func (c *deployments) resize(ctx context.Context, r *rollout, sizes map[string]int32) (bool, error) {
	scaled := false
	annotations := sizeAnnotations(r.d)
	for _, rs := range r.all() {
		size, named := sizes[rs.Name]
		if !named || size == *rs.Spec.Replicas && contains(rs.Annotations, annotations) {
			continue
		}
		// No resourceVersion: only we size these sets, and their status changes all
		// the time during a rollout.
		got, err := c.patchSet(ctx, r, rs, types.MergePatchType, mustJSON(map[string]any{
			"metadata": map[string]any{"uid": rs.UID, "annotations": annotations},
			"spec":     map[string]any{"replicas": size},
		}))
		if err != nil {
			return scaled, fmt.Errorf("scale replica set %s to %d: %w", rs.Name, size, err)
		}
		if was := *rs.Spec.Replicas; was != size {
			direction := "up"
			if size < was {
				direction = "down"
			}
			c.recorder.Eventf(r.d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d", direction, rs.Name, was, size)
			scaled = true
		}
		r.replace(got)
	}
	return scaled, nil
}

func (c *deployments) patchSet(ctx context.Context, r *rollout, rs *appsv1.ReplicaSet, kind types.PatchType, data []byte) (*appsv1.ReplicaSet, error) {
	got, err := c.client.AppsV1().ReplicaSets(rs.Namespace).Patch(ctx, rs.Name, kind, data, metav1.PatchOptions{})
	if err == nil {
		c.writes.wrote(r.key, c.sets, got)
	}
	return got, err
}

// replace puts a newer version of one of its ReplicaSets into r.
func (r *rollout) replace(rs *appsv1.ReplicaSet) {
	if r.latest != nil && r.latest.UID == rs.UID {
		r.latest = rs
		return
	}
	for i, old := range r.old {
		if old.UID == rs.UID {
			r.old[i] = rs
		}
	}
}

// dropOldSets deletes the oldest empty ReplicaSets beyond the history limit.
func (c *deployments) dropOldSets(ctx context.Context, r *rollout) error {
	if r.d.Spec.RevisionHistoryLimit == nil {
		return nil
	}
	alive := slices.DeleteFunc(slices.Clone(r.old), func(rs *appsv1.ReplicaSet) bool { return rs.DeletionTimestamp != nil })
	slices.SortStableFunc(alive, func(a, b *appsv1.ReplicaSet) int { return int(revisionOf(a) - revisionOf(b)) })
	for _, rs := range alive[:max(0, len(alive)-int(*r.d.Spec.RevisionHistoryLimit))] {
		if rs.Status.Replicas != 0 || *rs.Spec.Replicas != 0 || rs.Generation > rs.Status.ObservedGeneration {
			continue
		}
		err := c.client.AppsV1().ReplicaSets(rs.Namespace).Delete(ctx, rs.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(rs.UID))})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete old replica set %s: %w", rs.Name, err)
		}
		c.writes.deleted(r.key, c.sets, rs)
	}
	return nil
}

// contains tells whether all of part is in whole.
func contains(whole, part map[string]string) bool {
	for k, v := range part {
		if got, ok := whole[k]; !ok || got != v {
			return false
		}
	}
	return true
}
