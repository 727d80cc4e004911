package node

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// DefaultVersion says which Kubernetes this node behaves like, and whose it is.
const DefaultVersion = "v1.36.3-kube-lite"

// kubeletPort is where a kubelet listens. Nothing listens there: the API server calls
// Agent.Handler directly.
const kubeletPort = 10250

// declaredFeatures are those of a node that the scheduler and the API look for, and this agent has; sorted, as the API
// wants them.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-declared-features/
var declaredFeatures = []string{
	"InPlacePodLevelResourcesVerticalScaling",
	"RestartAllContainersOnContainerExits",
}

// status fills in what a kubelet reports of its node.
func (n *Node) status(s *v1.NodeStatus) {
	o := n.config
	n.mu.Lock()
	down, version := n.down, n.version
	n.mu.Unlock()
	others := s.Capacity
	s.Capacity = WithDeclared(n.capacity(), others)
	s.Allocatable = WithDeclared(n.Allocatable(), others)
	s.Addresses = nil
	for _, ip := range n.config.Addresses() {
		s.Addresses = append(s.Addresses, v1.NodeAddress{Type: v1.NodeInternalIP, Address: ip})
	}
	s.Addresses = append(s.Addresses, v1.NodeAddress{Type: v1.NodeHostName, Address: o.Name})
	s.DaemonEndpoints.KubeletEndpoint.Port = kubeletPort
	s.Features = &v1.NodeFeatures{SupplementalGroupsPolicy: new(bool)}
	*s.Features.SupplementalGroupsPolicy = true
	s.DeclaredFeatures = slices.Clone(declaredFeatures)
	s.NodeInfo = n.Facts.info(version, o.Version)
	now := metav1.Time{Time: time.Now().Truncate(time.Second)}
	n.setPressures(s, now.Time)
	if down == nil {
		setCondition(s, now, v1.NodeReady, true, "KubeletReady", "kubelet is posting ready status")
	} else {
		setCondition(s, now, v1.NodeReady, false, "KubeletNotReady", "container runtime is down: "+down.Error())
	}
}

// capacity is the node's share of what the machine has.
func (n *Node) capacity() v1.ResourceList {
	nodes := int64(max(1, n.config.Sharing()))
	out := v1.ResourceList{
		v1.ResourceCPU:              *resource.NewMilliQuantity(1000*int64(n.Facts.CPUs)/nodes, resource.DecimalSI),
		v1.ResourceMemory:           *resource.NewQuantity(n.Facts.Memory/nodes, resource.BinarySI),
		v1.ResourceEphemeralStorage: *resource.NewQuantity(n.Facts.Disk/nodes, resource.BinarySI),
		v1.ResourcePods:             *resource.NewQuantity(int64(n.config.MaxPods), resource.DecimalSI),
	}
	for name, amount := range n.Facts.HugePages {
		out[name] = *resource.NewQuantity(amount.Value()/nodes, amount.Format)
	}
	return out
}

// Allocatable is what Pods can have: all, but memory that was set aside for huge pages is
// no memory for anything else.
func (n *Node) Allocatable() v1.ResourceList {
	out := n.capacity()
	memory := out[v1.ResourceMemory]
	for name := range n.Facts.HugePages {
		memory.Sub(out[name])
	}
	out[v1.ResourceMemory] = memory
	return out
}

// WithDeclared adds what others declare of a node, such as extended resources: as on a kubelet's
// node they write its capacity, and all of it is allocatable. Huge pages are the kernel's.
// https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/
func WithDeclared(own, declared v1.ResourceList) v1.ResourceList {
	for name, amount := range declared {
		if _, ours := own[name]; !ours && !v1helper.IsHugePageResourceName(name) {
			own[name] = amount.DeepCopy()
		}
	}
	return own
}

// setCondition keeps the time of the last change.
func setCondition(s *v1.NodeStatus, now metav1.Time, kind v1.NodeConditionType, holds bool, reason, message string) {
	c := v1.NodeCondition{
		Type: kind, Status: v1.ConditionFalse, Reason: reason, Message: message,
		LastHeartbeatTime: now, LastTransitionTime: now,
	}
	if holds {
		c.Status = v1.ConditionTrue
	}
	for i, old := range s.Conditions {
		if old.Type == kind {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			s.Conditions[i] = c
			return
		}
	}
	s.Conditions = append(s.Conditions, c)
}
