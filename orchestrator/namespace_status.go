package orchestrator

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// show sets the conditions of a namespace that is being emptied, and tells
// whether one changed. They are those of
// https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#namespacecondition-v1-core,
// with the reasons and words that a real cluster shows.
func (l *leftovers) show(status *corev1.NamespaceStatus, now metav1.Time) bool {
	conditions := []corev1.NamespaceCondition{
		l.condition(corev1.NamespaceDeletionDiscoveryFailure, "ResourcesDiscovered", "All resources successfully discovered",
			"DiscoveryFailed", errorText(l.discovery)),
		l.condition(corev1.NamespaceDeletionGVParsingFailure, "ParsedGroupVersions", "All legacy kube types successfully parsed",
			"GroupVersionParsingFailed", ""),
		l.condition(corev1.NamespaceDeletionContentFailure, "ContentDeleted", "All content successfully deleted, may be waiting on finalization",
			"ContentDeletionFailed", l.failedText()),
		l.condition(corev1.NamespaceContentRemaining, "ContentRemoved", "All content successfully removed",
			"SomeResourcesRemain", l.objectsText()),
		l.condition(corev1.NamespaceFinalizersRemaining, "ContentHasNoFinalizers", "All content-preserving finalizers finished",
			"SomeFinalizersRemain", l.finalizersText()),
	}
	changed := false
	for _, c := range conditions {
		c.LastTransitionTime = now
		i := slices.IndexFunc(status.Conditions, func(have corev1.NamespaceCondition) bool { return have.Type == c.Type })
		if i < 0 {
			status.Conditions = append(status.Conditions, c)
			changed = true
			continue
		}
		have := &status.Conditions[i]
		if have.Status == c.Status {
			c.LastTransitionTime = have.LastTransitionTime
		}
		changed = changed || have.Status != c.Status || have.Reason != c.Reason || have.Message != c.Message
		*have = c
	}
	return changed
}

// condition is true with the trouble, or false with the good news if there is none.
func (l *leftovers) condition(kind corev1.NamespaceConditionType, goodReason, good, badReason, trouble string) corev1.NamespaceCondition {
	if trouble == "" {
		return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionFalse, Reason: goodReason, Message: good}
	}
	return corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionTrue, Reason: badReason, Message: trouble}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (l *leftovers) failedText() string {
	if len(l.deletion) == 0 {
		return ""
	}
	var list []string
	for _, err := range l.deletion {
		list = append(list, err.Error())
	}
	slices.Sort(list)
	return fmt.Sprintf("Failed to delete all resource types, %d remaining: %s", len(list), strings.Join(list, ", "))
}

func (l *leftovers) objectsText() string {
	var list []string
	for gvr, n := range l.objects {
		list = append(list, fmt.Sprintf("%s.%s has %d resource instances", gvr.Resource, gvr.Group, n))
	}
	return sortedText("Some resources are remaining: ", list)
}

func (l *leftovers) finalizersText() string {
	var list []string
	for name, n := range l.finalizers {
		list = append(list, fmt.Sprintf("%s in %d resource instances", name, n))
	}
	return sortedText("Some content in the namespace has finalizers remaining: ", list)
}

func sortedText(prefix string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	slices.Sort(list)
	return prefix + strings.Join(list, ", ")
}
