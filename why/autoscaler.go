package why

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// autoscaler explains a HorizontalPodAutoscaler that does not scale.
func (l *look) autoscaler(h *autoscalingv2.HorizontalPodAutoscaler) links {
	at := Object{"HorizontalPodAutoscaler", h.Namespace, h.Name}
	if h.DeletionTimestamp != nil {
		return links{l.ending(at, h)}
	}
	if found, ok := l.scaleTarget(at, h); ok {
		return links{found}
	}
	for _, c := range h.Status.Conditions {
		if c.Status == v1.ConditionTrue {
			continue
		}
		switch c.Type {
		case autoscalingv2.AbleToScale, autoscalingv2.ScalingActive:
			evidence := fmt.Sprintf("condition %s is %s, %s: %s", c.Type, c.Status, c.Reason, c.Message)
			if name, kind := l.withoutRequests(h); name != "" {
				return links{broken(at, "cannot tell how busy the pods are: container %s of %s %s requests no %s, of which the use is to be a share", name, h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name, kind).
					seen(evidence).mended(l.command(h.Namespace, "set resources %s/%s -c %s --requests=%s=%s", resourceOf(h.Spec.ScaleTargetRef.Kind), h.Spec.ScaleTargetRef.Name, name, kind, exampleOf(kind)))}
			}
			if c.Reason == "ScalingDisabled" {
				return links{broken(at, "does nothing while %s %s is scaled to 0", h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name).seen(evidence).
					mended(l.command(h.Namespace, "scale %s/%s --replicas=1", resourceOf(h.Spec.ScaleTargetRef.Kind), h.Spec.ScaleTargetRef.Name))}
			}
			return links{broken(at, "does not scale: %s", firstLine(c.Message)).seen(evidence)}
		}
	}
	if len(h.Status.Conditions) == 0 {
		return links{waiting(at, "is new, and its controller has not looked at it yet")}
	}
	out := well(at, "keeps %s %s at %s, and wants %d", h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name, count(h.Status.CurrentReplicas, "pod"), h.Status.DesiredReplicas)
	for _, c := range h.Status.Conditions {
		if c.Type == autoscalingv2.ScalingLimited && c.Status == v1.ConditionTrue {
			out = out.seen("condition ScalingLimited, " + c.Reason + ": " + c.Message)
		}
	}
	return links{out}
}

func exampleOf(kind v1.ResourceName) string {
	if kind == v1.ResourceMemory {
		return "64Mi"
	}
	return "100m"
}

// scaleTarget looks the scaled object up, where it is of a usual kind.
func (l *look) scaleTarget(at Object, h *autoscalingv2.HorizontalPodAutoscaler) (Link, bool) {
	ref, apps := h.Spec.ScaleTargetRef, l.client.AppsV1()
	var found presence
	var names []string
	switch ref.Kind {
	case "Deployment":
		_, found = get(l, "deployment", ref.Name, apps.Deployments(h.Namespace))
		if all, ok := listOf(l, "deployments", h.Namespace, apps.Deployments(h.Namespace)); ok {
			names = named(all.Items, func(d *appsv1.Deployment) string { return d.Name })
		}
	case "StatefulSet":
		_, found = get(l, "statefulset", ref.Name, apps.StatefulSets(h.Namespace))
		if all, ok := listOf(l, "statefulsets", h.Namespace, apps.StatefulSets(h.Namespace)); ok {
			names = named(all.Items, func(s *appsv1.StatefulSet) string { return s.Name })
		}
	default:
		return Link{}, false
	}
	if found != missing {
		return Link{}, false
	}
	out := broken(at, "is to scale the %s %s, which does not exist%s", ref.Kind, quote(ref.Name), orNearest(ref.Name, names)).
		seen(fmt.Sprintf("%ss in namespace %s: %s", ref.Kind, h.Namespace, list(names)))
	return out.mended(l.command(h.Namespace, `patch hpa %s --type=merge -p '{"spec":{"scaleTargetRef":{"name":"%s"}}}'`, h.Name, orElse(nearest(ref.Name, names), "NAME"))), true
}

// withoutRequests finds a container whose use cannot be a share of its request, since it has none.
func (l *look) withoutRequests(h *autoscalingv2.HorizontalPodAutoscaler) (container string, kind v1.ResourceName) {
	if h.Spec.ScaleTargetRef.Kind != "Deployment" {
		return "", ""
	}
	d, found := get(l, "deployment", h.Spec.ScaleTargetRef.Name, l.client.AppsV1().Deployments(h.Namespace))
	if found != present {
		return "", ""
	}
	for _, m := range h.Spec.Metrics {
		if m.Resource == nil || m.Resource.Target.Type != autoscalingv2.UtilizationMetricType {
			continue
		}
		for _, c := range d.Spec.Template.Spec.Containers {
			if _, ok := c.Resources.Requests[m.Resource.Name]; !ok {
				return c.Name, m.Resource.Name
			}
		}
	}
	return "", ""
}

// budget explains a PodDisruptionBudget that lets no pod be evicted.
func (l *look) budget(b *policyv1.PodDisruptionBudget) links {
	at := Object{"PodDisruptionBudget", b.Namespace, b.Name}
	if b.DeletionTimestamp != nil {
		return links{l.ending(at, b)}
	}
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return links{broken(at, "its selector cannot be read: %v", err)}
	}
	var covered []*v1.Pod
	all := l.pods(b.Namespace)
	for n := range all {
		if selector.Matches(labels.Set(all[n].Labels)) {
			covered = append(covered, &all[n])
		}
	}
	rule := "no minAvailable and no maxUnavailable"
	switch {
	case b.Spec.MinAvailable != nil:
		rule = "minAvailable is " + b.Spec.MinAvailable.String()
	case b.Spec.MaxUnavailable != nil:
		rule = "maxUnavailable is " + b.Spec.MaxUnavailable.String()
	}
	s := b.Status
	switch {
	case s.ObservedGeneration < b.Generation:
		return links{waiting(at, "was changed, and its controller has not looked at the change yet")}
	case len(covered) == 0:
		near, differences := nearestLabels(b.Spec.Selector.MatchLabels, l.templates(b.Namespace))
		text := ""
		if near != nil {
			text = fmt.Sprintf(": %s %s", near.whose, joinAnd(differences))
		}
		return links{broken(at, "protects no pod: its selector %s matches none%s", selectorText(b.Spec.Selector), text).
			mended(note(l.command(b.Namespace, "edit pdb %s", b.Name), "and correct spec.selector"))}
	case s.DisruptionsAllowed > 0:
		return links{well(at, "lets %s be evicted now: %s, and %d of %s %s healthy", count(s.DisruptionsAllowed, "pod"), rule, s.CurrentHealthy, count(s.ExpectedPods, "pod"), isAre(s.CurrentHealthy))}
	case s.CurrentHealthy < s.DesiredHealthy:
		first := waiting(at, "lets no pod be evicted: %s, and %d of %s %s healthy", rule, s.CurrentHealthy, count(s.ExpectedPods, "pod"), isAre(s.CurrentHealthy))
		return append(links{first}, l.worstPod(covered)...)
	}
	return links{broken(at, "lets no pod be evicted even while all are healthy: %s, and it has %s", rule, count(s.ExpectedPods, "pod")).
		seen(fmt.Sprintf("status: %d healthy, %d have to be", s.CurrentHealthy, s.DesiredHealthy)).
		mended(note(l.command(b.Namespace, `patch pdb %s --type=merge -p '{"spec":{"minAvailable":null,"maxUnavailable":1}}'`, b.Name), "or have more replicas"))}
}
