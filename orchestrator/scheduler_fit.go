package orchestrator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	schedulinghelper "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// This file decides where a Pod fits: pure functions of the Pod, the nodes and
// the Pods placed already. The words are kube-scheduler's.

// place picks the least loaded of the nodes that pod fits, or says why none is.
func place(pod *corev1.Pod, nodes []*corev1.Node, placed []*corev1.Pod) (node, reason string) {
	if len(nodes) == 0 {
		return "", "no nodes available to schedule pods"
	}
	var best *candidate
	reasons := map[string]int{}
	for _, n := range nodes {
		c := newCandidate(n, placed)
		failed := c.filter(pod)
		for _, f := range failed {
			reasons[f]++
		}
		if len(failed) == 0 && (best == nil || c.compare(best, pod) < 0) {
			best = c
		}
	}
	if best != nil {
		return best.node.Name, ""
	}
	var list []string
	for r, n := range reasons {
		list = append(list, fmt.Sprintf("%d %s", n, r))
	}
	slices.Sort(list)
	return "", fmt.Sprintf("0/%d nodes are available: %s.", len(nodes), strings.Join(list, ", "))
}

// candidate is a node and what is taken of it.
type candidate struct {
	node *corev1.Node
	pods []*corev1.Pod
	used corev1.ResourceList
}

func newCandidate(node *corev1.Node, placed []*corev1.Pod) *candidate {
	c := &candidate{node: node, used: corev1.ResourceList{}}
	for _, pod := range placed {
		if pod.Spec.NodeName != node.Name {
			continue
		}
		c.pods = append(c.pods, pod)
		for name, n := range requests(pod) {
			sum := c.used[name]
			sum.Add(n)
			c.used[name] = sum
		}
	}
	return c
}

func requests(pod *corev1.Pod) corev1.ResourceList {
	return resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{UseStatusResources: true})
}

// filter returns why pod does not fit, empty if it does: the first kind of
// reason only, but of missing resources all.
func (c *candidate) filter(pod *corev1.Pod) []string {
	unschedulable := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if c.node.Spec.Unschedulable && !tolerates(pod, []corev1.Taint{unschedulable}) {
		return []string{"node(s) were unschedulable"}
	}
	if !tolerates(pod, taintsOf(c.node)) {
		return []string{"node(s) had untolerated taint(s)"}
	}
	if fits, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(c.node); err != nil || !fits {
		return []string{"node(s) didn't match Pod's node affinity/selector"}
	}
	if c.portTaken(pod) {
		return []string{"node(s) didn't have free ports for the requested pod ports"}
	}
	return c.missing(pod)
}

// taintsOf adds to a node's taints the one that a node lifecycle controller puts
// on a node that is not ready: here, the Ready condition itself decides.
func taintsOf(node *corev1.Node) []corev1.Taint {
	ready := corev1.ConditionUnknown
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			ready = c.Status
		}
	}
	taints := node.Spec.Taints
	switch ready {
	case corev1.ConditionTrue:
		return taints
	case corev1.ConditionFalse:
		return append(slices.Clone(taints), corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule})
	}
	return append(slices.Clone(taints), corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoSchedule})
}

func tolerates(pod *corev1.Pod, taints []corev1.Taint) bool {
	_, untolerated := schedulinghelper.FindMatchingUntoleratedTaint(klog.Background(), taints, pod.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}, false)
	return !untolerated
}

// portTaken tells whether a host port of pod is another's on this node.
func (c *candidate) portTaken(pod *corev1.Pod) bool {
	for _, want := range hostPorts(pod) {
		for _, other := range c.pods {
			for _, taken := range hostPorts(other) {
				if want.HostPort == taken.HostPort && protocol(want) == protocol(taken) && addressesMeet(want.HostIP, taken.HostIP) {
					return true
				}
			}
		}
	}
	return false
}

// hostPorts are the ports of the node that a Pod takes: those of containers and
// of sidecars.
func hostPorts(pod *corev1.Pod) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	podutil.VisitContainers(&pod.Spec, podutil.AllContainers, func(container *corev1.Container, kind podutil.ContainerType) bool {
		if kind == podutil.InitContainers && (container.RestartPolicy == nil || *container.RestartPolicy != corev1.ContainerRestartPolicyAlways) {
			return true
		}
		for _, p := range container.Ports {
			if p.HostPort > 0 {
				ports = append(ports, p)
			}
		}
		return true
	})
	return ports
}

func protocol(p corev1.ContainerPort) corev1.Protocol { return cmp.Or(p.Protocol, corev1.ProtocolTCP) }

// addressesMeet: no address is every address.
func addressesMeet(a, b string) bool {
	const all = "0.0.0.0"
	a, b = cmp.Or(a, all), cmp.Or(b, all)
	return a == b || a == all || b == all
}

// missing names each resource of which too little is left.
func (c *candidate) missing(pod *corev1.Pod) []string {
	var reasons []string
	if limit, ok := c.node.Status.Allocatable[corev1.ResourcePods]; ok && int64(len(c.pods)) >= limit.Value() {
		reasons = append(reasons, "Too many pods")
	}
	for name, want := range requests(pod) {
		if want.IsZero() {
			continue
		}
		free := c.node.Status.Allocatable[name].DeepCopy()
		free.Sub(c.used[name])
		if want.Cmp(free) > 0 {
			reasons = append(reasons, fmt.Sprintf("Insufficient %s", name))
		}
	}
	slices.Sort(reasons)
	return reasons
}

// compare is negative if c suits pod better than other: fewer soft taints, then
// less load, then fewer Pods, then the name, so that the choice is repeatable.
func (c *candidate) compare(other *candidate, pod *corev1.Pod) int {
	return cmp.Or(
		cmp.Compare(c.softTaints(pod), other.softTaints(pod)),
		cmp.Compare(c.load(), other.load()),
		cmp.Compare(len(c.pods), len(other.pods)),
		cmp.Compare(c.node.Name, other.node.Name),
	)
}

func (c *candidate) softTaints(pod *corev1.Pod) int {
	n := 0
	for _, taint := range c.node.Spec.Taints {
		if taint.Effect == corev1.TaintEffectPreferNoSchedule && !schedulinghelper.TolerationsTolerateTaint(klog.Background(), pod.Spec.Tolerations, &taint, false) {
			n++
		}
	}
	return n
}

// load is the mean of the requested parts of CPU and memory, 0 to 1.
func (c *candidate) load() float64 {
	part := func(name corev1.ResourceName) float64 {
		used, all := c.used[name], c.node.Status.Allocatable[name]
		if all.IsZero() {
			return 1
		}
		return used.AsApproximateFloat64() / all.AsApproximateFloat64()
	}
	return (part(corev1.ResourceCPU) + part(corev1.ResourceMemory)) / 2
}

// offers renders what of a node matters to the scheduler, so that a heartbeat
// does not wake every waiting Pod.
func offers(node *corev1.Node) string {
	var b strings.Builder
	fmt.Fprint(&b, node.Spec.Unschedulable, taintsOf(node), node.Labels)
	names := []corev1.ResourceName{}
	for name := range node.Status.Allocatable {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		amount := node.Status.Allocatable[name]
		fmt.Fprintf(&b, " %s=%s", name, amount.String())
	}
	return b.String()
}
