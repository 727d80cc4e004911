package node

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// nodeEvents are the reasons of a kubelet's events of a condition that comes to hold, and of one
// that ceases to.
var nodeEvents = map[v1.NodeConditionType]struct{ holds, ceased string }{
	v1.NodeMemoryPressure: {"NodeHasInsufficientMemory", "NodeHasSufficientMemory"},
	v1.NodeDiskPressure:   {"NodeHasDiskPressure", "NodeHasNoDiskPressure"},
	v1.NodePIDPressure:    {"NodeHasInsufficientPID", "NodeHasSufficientPID"},
	v1.NodeReady:          {"NodeReady", "NodeNotReady"},
}

// event records what happened to the node. As a kubelet does it gives the node's name for its
// UID: by that `kubectl describe node` finds events.
func (n *Node) event(kind, reason, format string, args ...any) {
	name := n.config.Name
	ref := &v1.ObjectReference{Kind: "Node", Name: name, UID: types.UID(name)}
	n.config.Event(ref, kind, reason, fmt.Sprintf(format, args...))
}

func (n *Node) statusEvent(reason string) {
	n.event(v1.EventTypeNormal, reason, "Node %s status is now: %s", n.config.Name, reason)
}

// recordChanges records what a write of the status changed; before is empty if the node is new.
func (n *Node) recordChanges(before, after *v1.Node) {
	if was, is := before.Status.NodeInfo.BootID, after.Status.NodeInfo.BootID; was != "" && was != is {
		n.event(v1.EventTypeWarning, "Rebooted", "Node %s has been rebooted, boot id: %s", after.Name, is)
	}
	for _, c := range after.Status.Conditions {
		reasons, known := nodeEvents[c.Type]
		if old := Condition(before, c.Type); !known || old != nil && old.Status == c.Status {
			continue
		}
		if c.Status == v1.ConditionTrue {
			n.statusEvent(reasons.holds)
		} else {
			n.statusEvent(reasons.ceased)
		}
	}
	n.recordSchedulable(after.Spec.Unschedulable)
}

// recordSchedulable records that somebody cordoned the node, or took that back.
func (n *Node) recordSchedulable(unschedulable bool) {
	if unschedulable == n.cordoned {
		return
	}
	n.cordoned = unschedulable
	if unschedulable {
		n.statusEvent("NodeNotSchedulable")
	} else {
		n.statusEvent("NodeSchedulable")
	}
}

func Condition(node *v1.Node, kind v1.NodeConditionType) *v1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}
