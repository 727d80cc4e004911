package runtime

import (
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodeIsRegisteredAsAKubeletWould(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		node := r.node()
		for label, want := range map[string]string{
			v1.LabelHostname: "node", v1.LabelOSStable: "linux", "node-role.kubernetes.io/control-plane": "",
		} {
			if got, ok := node.Labels[label]; !ok || got != want {
				t.Errorf("label %s is %q", label, got)
			}
		}
		s := node.Status
		if s.Capacity.Cpu().IsZero() || s.Capacity.Memory().IsZero() || s.Capacity.Pods().Value() != 110 || s.Allocatable.StorageEphemeral().IsZero() {
			t.Errorf("capacity %v, allocatable %v", s.Capacity, s.Allocatable)
		}
		if s.NodeInfo.ContainerRuntimeVersion != "docker://20.10.24" || s.NodeInfo.KubeletVersion != kubeletVersion || s.NodeInfo.KernelVersion == "" || s.NodeInfo.OSImage == "" {
			t.Errorf("nodeInfo %+v", s.NodeInfo)
		}
		if len(s.Addresses) != 2 || s.Addresses[0].Address != "10.244.0.1" || s.Addresses[1].Address != "node" || len(s.Conditions) != 4 || nodeReady(node).Status != v1.ConditionTrue {
			t.Errorf("addresses %v, conditions %v", s.Addresses, s.Conditions)
		}
	})
}

func TestNodeBeatsItsHeart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		renewed := func() time.Time {
			lease, err := r.client.CoordinationV1().Leases(v1.NamespaceNodeLease).Get(t.Context(), "node", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if *lease.Spec.LeaseDurationSeconds != 40 || *lease.Spec.HolderIdentity != "node" {
				t.Errorf("lease %+v", lease.Spec)
			}
			return lease.Spec.RenewTime.Time
		}
		before, reported := renewed(), nodeReady(r.node()).LastHeartbeatTime
		r.after(15 * time.Second)
		if after := renewed(); !after.After(before) {
			t.Errorf("the lease of %v is not renewed", before)
		}
		if again := nodeReady(r.node()).LastHeartbeatTime; !again.Equal(&reported) {
			t.Errorf("the status is written though nothing changed")
		}
		r.after(6 * time.Minute)
		if again := nodeReady(r.node()).LastHeartbeatTime; again.Equal(&reported) {
			t.Errorf("the status is never written again")
		}
	})
}

func TestNodeThatWasDeletedComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		if err := r.client.CoreV1().Nodes().Delete(t.Context(), "node", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.after(15 * time.Second)
		if c := nodeReady(r.node()); c.Status != v1.ConditionTrue {
			t.Errorf("ready %+v", c)
		}
	})
}

func TestNodeSaysWhenDockerIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.crash()
		r.after(time.Second)
		if c := nodeReady(r.node()); c.Status != v1.ConditionFalse || c.Reason != "KubeletNotReady" || !strings.Contains(c.Message, "container runtime is down: no Docker Engine answers") {
			t.Errorf("ready %+v", c)
		}
		// What is declared meanwhile waits, and starts when Docker is back.
		r.pod("web", nil)
		r.wantNames()
		r.engine.recover()
		r.after(5 * time.Second)
		r.wantState("web", "app", "running 0")
		if c := nodeReady(r.node()); c.Status != v1.ConditionTrue {
			t.Errorf("ready %+v", c)
		}
	})
}

func (r *rig) node() *v1.Node {
	r.t.Helper()
	node, err := r.client.CoreV1().Nodes().Get(r.t.Context(), "node", metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return node
}
