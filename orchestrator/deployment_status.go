package orchestrator

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// This file writes a Deployment's status. The reasons and messages are those
// that kubectl rollout status and every dashboard know.

const (
	reasonComplete = "NewReplicaSetAvailable"
	reasonTimedOut = "ProgressDeadlineExceeded"
	reasonPaused   = "DeploymentPaused"
	reasonResumed  = "DeploymentResumed"
)

// writeStatus computes the status and writes it, with the revision annotation,
// if it differs from the cached object. It returns when the progress deadline
// wants to be looked at.
func (c *deployments) writeStatus(ctx context.Context, r *rollout, cached *appsv1.Deployment) (time.Duration, error) {
	status := c.status(r)
	if apiequality.Semantic.DeepEqual(cached.Status, status) && r.d.Annotations[revisionAnnotation] == cached.Annotations[revisionAnnotation] {
		return c.deadline(r, &status), nil
	}
	r.d.Status = status
	got, err := c.client.AppsV1().Deployments(r.d.Namespace).UpdateStatus(ctx, r.d, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("write the status: %w", err)
	}
	c.writes.wrote(r.key, c.informer, got)
	return c.deadline(r, &status), nil
}

// status is what the Deployment's status should be.
func (c *deployments) status(r *rollout) appsv1.DeploymentStatus {
	d, sets := r.d, r.all()
	s := appsv1.DeploymentStatus{
		ObservedGeneration:  d.Generation,
		AvailableReplicas:   availableOf(sets),
		UnavailableReplicas: max(replicasOf(sets)-availableOf(sets), 0),
		TerminatingReplicas: terminatingOf(sets),
		CollisionCount:      d.Status.CollisionCount,
		Conditions:          slices.Clone(d.Status.Conditions),
	}
	for _, rs := range sets {
		s.Replicas += rs.Status.Replicas
		s.ReadyReplicas += rs.Status.ReadyReplicas
	}
	if r.latest != nil {
		s.UpdatedReplicas = r.latest.Status.Replicas
	}
	_, unavailable := surgeAndUnavailable(d)
	if s.AvailableReplicas >= *d.Spec.Replicas-unavailable {
		c.set(&s, appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		c.set(&s, appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
	if r.progress {
		c.judgeProgress(r, &s)
		copyFailure(r, &s)
	}
	return s
}

// terminatingOf sums the terminating pods, nil while a ReplicaSet does not tell.
func terminatingOf(sets []*appsv1.ReplicaSet) *int32 {
	var n int32
	for _, rs := range sets {
		switch {
		case rs.Status.TerminatingReplicas != nil:
			n += *rs.Status.TerminatingReplicas
		case rs.Status.ObservedGeneration != 0:
			return nil
		}
	}
	return &n
}

// judgeProgress sets the Progressing condition: complete, moved since the last
// look, or stuck beyond the deadline.
func (c *deployments) judgeProgress(r *rollout, s *appsv1.DeploymentStatus) {
	d := r.d
	if !hasDeadline(d) {
		s.Conditions = slices.DeleteFunc(s.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == appsv1.DeploymentProgressing })
		return
	}
	last := progressing(&d.Status)
	if s.Replicas == s.UpdatedReplicas && last != nil && last.Reason == reasonComplete {
		return // no rollout is under way
	}
	subject := fmt.Sprintf("Deployment %q", d.Name)
	if r.latest != nil {
		subject = fmt.Sprintf("ReplicaSet %q", r.latest.Name)
	}
	switch {
	case complete(d, s):
		c.set(s, appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonComplete, subject+" has successfully progressed.")
	case moved(&d.Status, s):
		// Each step renews the update time, which the deadline counts from.
		s.Conditions = slices.DeleteFunc(s.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == appsv1.DeploymentProgressing })
		c.set(s, appsv1.DeploymentProgressing, corev1.ConditionTrue, "ReplicaSetUpdated", subject+" is progressing.")
		if last != nil && last.Status == corev1.ConditionTrue {
			progressing(s).LastTransitionTime = last.LastTransitionTime
		}
	case c.timedOut(d, last):
		c.set(s, appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonTimedOut, subject+" has timed out progressing.")
	}
}

// complete tells whether all replicas are of the latest template and available,
// and no others are left.
func complete(d *appsv1.Deployment, s *appsv1.DeploymentStatus) bool {
	want := *d.Spec.Replicas
	return s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want && s.ObservedGeneration >= d.Generation
}

// moved tells whether there is more of the new or less of the old than before.
func moved(before, now *appsv1.DeploymentStatus) bool {
	return now.UpdatedReplicas > before.UpdatedReplicas ||
		now.Replicas-now.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		now.ReadyReplicas > before.ReadyReplicas ||
		now.AvailableReplicas > before.AvailableReplicas
}

func (c *deployments) timedOut(d *appsv1.Deployment, last *appsv1.DeploymentCondition) bool {
	if last == nil || last.Reason == reasonComplete {
		return false
	}
	return last.Reason == reasonTimedOut || last.LastUpdateTime.Add(deadlineOf(d)).Before(c.now())
}

// deadline is how long until a rollout that does not move has timed out.
func (c *deployments) deadline(r *rollout, s *appsv1.DeploymentStatus) time.Duration {
	last := progressing(s)
	if !r.progress || !hasDeadline(r.d) || complete(r.d, s) || last == nil || last.Reason == reasonTimedOut || last.Reason == reasonComplete {
		return 0
	}
	// Conditions have whole seconds, so look a second later.
	return max(last.LastUpdateTime.Add(deadlineOf(r.d)).Sub(c.now()), 0) + time.Second
}

func deadlineOf(d *appsv1.Deployment) time.Duration {
	return time.Duration(*d.Spec.ProgressDeadlineSeconds) * time.Second
}

// hasDeadline: the largest number means no deadline, since 0 is not allowed and
// nothing means the default of 600.
func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

// notePause records pausing and resuming, so that the deadline does not count
// the time in between.
func (c *deployments) notePause(r *rollout) {
	last := progressing(&r.d.Status)
	if last != nil && last.Reason == reasonTimedOut {
		return
	}
	paused := last != nil && last.Reason == reasonPaused
	switch {
	case r.d.Spec.Paused && !paused:
		c.noteProgress(r, corev1.ConditionUnknown, reasonPaused, "Deployment is paused")
	case !r.d.Spec.Paused && paused:
		c.noteProgress(r, corev1.ConditionUnknown, reasonResumed, "Deployment is resumed")
	}
}

// noteProgress sets the Progressing condition of a Deployment that has a
// deadline; others have none.
func (c *deployments) noteProgress(r *rollout, status corev1.ConditionStatus, reason, message string) {
	if hasDeadline(r.d) {
		c.set(&r.d.Status, appsv1.DeploymentProgressing, status, reason, message)
	}
}

// copyFailure shows a ReplicaSet's failure on the Deployment, the latest's first.
func copyFailure(r *rollout, s *appsv1.DeploymentStatus) {
	sets := r.all()
	slices.Reverse(sets)
	for _, rs := range sets {
		for _, f := range rs.Status.Conditions {
			if f.Type == appsv1.ReplicaSetReplicaFailure {
				setCondition(s, appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: f.Status, Reason: f.Reason, Message: f.Message,
					LastUpdateTime: f.LastTransitionTime, LastTransitionTime: f.LastTransitionTime,
				})
				return
			}
		}
	}
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == appsv1.DeploymentReplicaFailure })
}

func progressing(s *appsv1.DeploymentStatus) *appsv1.DeploymentCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == appsv1.DeploymentProgressing {
			return &s.Conditions[i]
		}
	}
	return nil
}

func (c *deployments) set(s *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	now := metav1.Time{Time: c.now()}
	setCondition(s, appsv1.DeploymentCondition{Type: kind, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now})
}

// setCondition puts a condition into s. One with the same status and reason stays
// as it is; one with the same status keeps its transition time.
func setCondition(s *appsv1.DeploymentStatus, condition appsv1.DeploymentCondition) {
	for i, have := range s.Conditions {
		if have.Type != condition.Type {
			continue
		}
		if have.Status == condition.Status && have.Reason == condition.Reason {
			return
		}
		if have.Status == condition.Status {
			condition.LastTransitionTime = have.LastTransitionTime
		}
		s.Conditions = append(slices.Delete(s.Conditions, i, i+1), condition)
		return
	}
	s.Conditions = append(s.Conditions, condition)
}
