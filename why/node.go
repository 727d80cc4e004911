package why

import (
	"slices"

	v1 "k8s.io/api/core/v1"
)

// On kube-lite a node goes silent when its label says so.
const (
	agentLabel   = "kube-lite.io/agent"
	agentStopped = "stopped"
)

func nodeObject(n *v1.Node) Object { return Object{Kind: "Node", Name: n.Name} }

// nodeOf finds what is wrong with the node of a Pod.
func (l *look) nodeOf(pod *v1.Pod) links {
	node, found := get(l, "node", pod.Spec.NodeName, l.client.CoreV1().Nodes())
	switch found {
	case missing:
		return links{broken(podObject(pod), "is bound to the node %s, which does not exist%s", quote(pod.Spec.NodeName),
			orNearest(pod.Spec.NodeName, named(l.nodes(), func(n *v1.Node) string { return n.Name }))).
			seen("spec.nodeName: " + pod.Spec.NodeName).mended(l.edited(pod, "take spec.nodeName out"))}
	case unreadable:
		return nil
	}
	if c := nodeCondition(node, v1.NodeReady); c == nil || c.Status != v1.ConditionTrue {
		return l.node(node)
	}
	return nil
}

func nodeCondition(node *v1.Node, kind v1.NodeConditionType) *v1.NodeCondition {
	for n := range node.Status.Conditions {
		if node.Status.Conditions[n].Type == kind {
			return &node.Status.Conditions[n]
		}
	}
	return nil
}

// node explains why a node is not ready, or takes no pods.
func (l *look) node(node *v1.Node) links {
	at := nodeObject(node)
	ready := nodeCondition(node, v1.NodeReady)
	stopped := node.Labels[agentLabel] == agentStopped
	switch {
	case stopped && (ready == nil || ready.Status != v1.ConditionTrue):
		return links{broken(at, "is silent, since somebody stopped it").seen("label " + agentLabel + ": " + agentStopped).mended(l.command("", "node start %s", node.Name))}
	case ready == nil:
		return links{broken(at, "has never said whether it is ready: its node agent has not reported")}
	case ready.Status == v1.ConditionUnknown:
		return links{broken(at, "has not been heard of for %s: its node agent does not report any more", l.since(ready.LastHeartbeatTime.Time)).
			seen("condition Ready is Unknown: " + ready.Message)}
	case ready.Status == v1.ConditionFalse:
		return links{broken(at, "is not ready: %s", ready.Message).seen("condition Ready is False, " + ready.Reason)}
	}
	for _, c := range node.Status.Conditions {
		if c.Type != v1.NodeReady && c.Status == v1.ConditionTrue {
			return links{broken(at, "is ready but short of something: %s: %s", c.Type, c.Message).seen("condition " + string(c.Type) + " is True")}
		}
	}
	if node.Spec.Unschedulable {
		return links{broken(at, "is ready, but takes no new pods, since somebody cordoned it").
			seen("spec.unschedulable: true").mended(l.command("", "uncordon %s", node.Name))}
	}
	hard := slices.IndexFunc(node.Spec.Taints, func(t v1.Taint) bool { return t.Effect != v1.TaintEffectPreferNoSchedule })
	if hard >= 0 {
		return links{well(at, "is ready, and takes only pods that tolerate its taint %s", node.Spec.Taints[hard].ToString())}
	}
	return links{well(at, "is ready and takes pods")}
}
