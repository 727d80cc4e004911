package runtime

import (
	"context"
	"slices"
	"time"

	"github.com/kube-lite/kube-lite/runtime/limits"
	"github.com/kube-lite/kube-lite/runtime/node"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
)

// allocate admits a new Pod or rejects it, and decides about the resize of one that
// was admitted. It returns the Pod with what it was granted: all that follows goes by that. Until
// held, if that is not zero, it is neither admitted nor rejected.
// https://kubernetes.io/docs/concepts/scheduling-eviction/
func (a *Agent) allocate(ctx context.Context, pod *v1.Pod, s *podState, have []pods.Instance) (granted *v1.Pod, held time.Time) {
	if pods.IsFinal(pod.Status.Phase) || s.failure != nil {
		return pod, time.Time{}
	}
	if resize, admitted := a.allocations.Resize(pod); admitted {
		a.noteResize(pod, s, resize)
		return resize.Pod, time.Time{}
	}
	if len(have) > 0 { // what runs already was admitted
		a.allocations.Adopt(pod)
	} else if r := a.admit(ctx, pod); r != nil {
		return pod, a.reject(pod, s, r)
	}
	if s.rejected != nil {
		s.rejected = &pods.Reason{}
	}
	return pod, time.Time{}
}

// admit grants a Pod what it declares if the node can take it.
func (a *Agent) admit(ctx context.Context, pod *v1.Pod) *pods.Reason {
	own, allocatable := a.nodeFor(ctx, pod), a.node.Allocatable()
	if own != nil {
		allocatable = node.WithDeclared(allocatable, own.Status.Allocatable)
	}
	return a.allocations.Admit(pod, own, allocatable)
}

// limitsNode is what package limits has to know of this node.
func (a *Agent) limitsNode() limits.Node {
	return limits.Node{
		Dirs: a.dirs, Pods: a.nodesPods, Allocatable: func() v1.ResourceList { return a.node.Allocatable() },
		Enforceable: a.specs.Enforceable, Enqueue: a.workers.enqueue, Log: a.log,
	}
}

// nodesPods are the Pods of this node that are not over.
func (a *Agent) nodesPods() []*v1.Pod {
	return slices.DeleteFunc(a.ownPods(), func(pod *v1.Pod) bool { return pods.IsFinal(pod.Status.Phase) })
}

// nodeFor reads this node's object for a Pod that cares for its labels, or for resources that
// others than the agent declare; nil if it does not. If it cannot be read the scheduler's choice
// is believed.
func (a *Agent) nodeFor(ctx context.Context, pod *v1.Pod) *v1.Node {
	affine := pod.Spec.Affinity != nil && pod.Spec.Affinity.NodeAffinity != nil
	if len(pod.Spec.NodeSelector) == 0 && !affine && !requestsExtended(pods.Requests(pod)) {
		return nil
	}
	node, err := a.ownNode(ctx)
	if err != nil {
		return nil
	}
	return node
}

// requestsExtended tells of extended resources, which the agent does not know by itself.
func requestsExtended(wanted v1.ResourceList) bool {
	for name := range wanted {
		if v1helper.IsExtendedResourceName(name) {
			return true
		}
	}
	return false
}

// ownNode reads this node's object.
func (a *Agent) ownNode(ctx context.Context) (*v1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return a.client.CoreV1().Nodes().Get(ctx, a.opts.NodeName, metav1.GetOptions{})
}

// reject ends a Pod that cannot be taken, or has it wait for its turn to end. What is wrong with
// it is told at once either way.
func (a *Agent) reject(pod *v1.Pod, s *podState, r *pods.Reason) (wake time.Time) {
	if s.rejected == nil || *s.rejected != *r {
		a.event(pod, nil, v1.EventTypeWarning, r.Reason, "%s", r.Message)
	}
	if owner := metav1.GetControllerOf(pod); owner != nil {
		if until, waits := a.rejections.Take(owner.UID, a.now()); waits {
			s.rejected = r
			return until
		}
	}
	s.rejected = nil
	s.fail(r.Reason, "Pod was rejected: "+r.Message)
	return time.Time{}
}
