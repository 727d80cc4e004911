package why

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	resourcehelper "k8s.io/component-helpers/resource"
)

// Each of these tells why one node does not take a Pod; an empty Sentence means that this is no reason.

// wrongLabels compares the node with spec.nodeSelector.
func (l *look) wrongLabels(pod *v1.Pod, node *v1.Node) (none Link) {
	for _, key := range slices.Sorted(maps.Keys(pod.Spec.NodeSelector)) {
		want := pod.Spec.NodeSelector[key]
		have, ok := node.Labels[key]
		if ok && have == want {
			continue
		}
		text := "has no label " + key + orNearest(key, slices.Collect(maps.Keys(node.Labels)))
		if ok {
			text = "has " + key + "=" + have
		}
		return broken(nodeObject(node), "its nodeSelector asks for a node with the label %s=%s, and node %s %s", key, want, node.Name, text).
			mended(l.command("", "label node %s %s=%s --overwrite", node.Name, key, want))
	}
	return none
}

// wrongAffinity compares it with the required node affinity.
func (l *look) wrongAffinity(pod *v1.Pod, node *v1.Node) (none Link) {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil {
		return none
	}
	required := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		return none
	}
	if fits, err := nodeaffinity.NewLazyErrorNodeSelector(required).Match(node); err != nil || fits {
		return none
	}
	var terms []string
	for _, t := range required.NodeSelectorTerms {
		terms = append(terms, termText(t))
	}
	return broken(nodeObject(node), "its node affinity asks for a node with %s, and node %s is none", strings.Join(terms, " or "), node.Name).
		mended(l.edited(pod, "change spec.affinity.nodeAffinity, or label the node"))
}

func termText(t v1.NodeSelectorTerm) string {
	var parts []string
	for _, e := range slices.Concat(t.MatchExpressions, t.MatchFields) {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Key, e.Operator, strings.Join(e.Values, ","))))
	}
	return strings.Join(parts, " and ")
}

// cordoned tells of a node that takes no new pods.
func (l *look) cordoned(pod *v1.Pod, node *v1.Node) (none Link) {
	taint := v1.Taint{Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule}
	if !node.Spec.Unschedulable || tolerates(pod, &taint) {
		return none
	}
	return broken(nodeObject(node), "node %s takes no new pods, since somebody cordoned it", node.Name).
		seen("spec.unschedulable: true of node " + node.Name).mended(l.command("", "uncordon %s", node.Name))
}

// tainted compares the node's taints with the tolerations.
func (l *look) tainted(pod *v1.Pod, node *v1.Node) (none Link) {
	for n := range node.Spec.Taints {
		t := &node.Spec.Taints[n]
		if t.Effect == v1.TaintEffectPreferNoSchedule || t.Key == v1.TaintNodeUnschedulable || tolerates(pod, t) {
			continue
		}
		if strings.HasPrefix(t.Key, "node.kubernetes.io/") {
			return broken(nodeObject(node), "node %s keeps pods away by the taint %s", node.Name, t.ToString()).
				mended(note(l.command("", "describe node %s", node.Name), "which says what the node lacks"))
		}
		return broken(nodeObject(node), "node %s has the taint %s, which the pod does not tolerate", node.Name, t.ToString()).
			mended(l.command("", "taint node %s %s-", node.Name, t.Key))
	}
	return none
}

func tolerates(pod *v1.Pod, t *v1.Taint) bool {
	return corev1helpers.TolerationsTolerateTaint(klog.Background(), pod.Spec.Tolerations, t, true)
}

// tooSmall compares what the Pod requests with what the node has left.
func (l *look) tooSmall(pod *v1.Pod, node *v1.Node) (none Link) {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	taken := l.taken(node.Name)
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		want, all := requests[name], node.Status.Allocatable[name]
		left := all.DeepCopy()
		left.Sub(taken[name])
		if want.IsZero() || want.Cmp(left) <= 0 {
			continue
		}
		if _, known := node.Status.Allocatable[name]; !known {
			return broken(nodeObject(node), "it asks for %s %s, and node %s has no such resource%s", want.String(), name, node.Name,
				orNearest(string(name), resourceNames(node.Status.Allocatable))).mended(l.edited(pod, "take "+string(name)+" out of its resources"))
		}
		return broken(nodeObject(node), "it asks for %s %s, and node %s has %s (%s free)", amount(name, want), name, node.Name, amount(name, all), amount(name, left)).
			mended(l.smaller(pod, name, left))
	}
	return none
}

// amount writes a quantity as people read it: memory in the largest unit that fits.
func amount(name v1.ResourceName, q resource.Quantity) string {
	if name != v1.ResourceMemory && name != v1.ResourceEphemeralStorage {
		return q.String()
	}
	bytes := q.Value()
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}} {
		if bytes >= unit.size || bytes <= -unit.size {
			return strings.Replace(fmt.Sprintf("%.1f%s", float64(bytes)/float64(unit.size), unit.name), ".0", "", 1)
		}
	}
	return q.String()
}

// smaller is a command that has the Pod request half of what is left.
func (l *look) smaller(pod *v1.Pod, name v1.ResourceName, left resource.Quantity) string {
	o := l.ownerOf(pod)
	half := resource.NewMilliQuantity(left.MilliValue()/2, left.Format)
	if name == v1.ResourceMemory {
		half = resource.NewQuantity(left.Value()/2>>20<<20, resource.BinarySI)
	}
	if o.fixed || half.Sign() <= 0 {
		return l.edited(pod, "ask for less "+string(name))
	}
	return l.command(pod.Namespace, "set resources %s --requests=%s=%s", o.resource, name, half.String())
}

// taken is what the pods of a node request together.
func (l *look) taken(node string) v1.ResourceList {
	total := v1.ResourceList{}
	all := l.pods("")
	for n := range all {
		p := &all[n]
		if p.Spec.NodeName != node || p.Status.Phase == v1.PodSucceeded || p.Status.Phase == v1.PodFailed {
			continue
		}
		for name, q := range resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{}) {
			sum := total[name]
			sum.Add(q)
			total[name] = sum
		}
	}
	return total
}

func resourceNames(all v1.ResourceList) (out []string) {
	for name := range all {
		out = append(out, string(name))
	}
	return out
}
