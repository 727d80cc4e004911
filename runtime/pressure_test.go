package runtime

import (
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/node"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodeReportsPressureWhileItLastsAndALittleLonger(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		want := func(when string, status v1.ConditionStatus, reason, message string) time.Time {
			t.Helper()
			c := node.Condition(r.node(), v1.NodeMemoryPressure)
			if c.Status != status || c.Reason != reason || c.Message != message {
				t.Errorf("%s: %s, %s: %s", when, c.Status, c.Reason, c.Message)
			}
			return c.LastTransitionTime.Time
		}
		enough := want("at first", v1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available")
		little := int64(50 << 20)
		r.room.Store(&node.Available{Memory: &little})
		r.after(node.CheckPeriod)
		began := want("with little memory", v1.ConditionTrue, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
		if !began.After(enough) {
			t.Errorf("the transition of %v is one of %v", enough, began)
		}
		r.room.Store(nil)
		r.after(node.CheckPeriod)
		want("a moment later", v1.ConditionTrue, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
		r.after(node.PressureTransitionPeriod + node.CheckPeriod)
		want("later", v1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available")
		for _, kind := range []v1.NodeConditionType{v1.NodeDiskPressure, v1.NodePIDPressure} {
			if c := node.Condition(r.node(), kind); c.Status != v1.ConditionFalse {
				t.Errorf("%s is %s", kind, c.Status)
			}
		}
		r.wantEvent("node", "NodeHasInsufficientMemory: Node node status is now: NodeHasInsufficientMemory")
	})
}

func TestNodeHasAKubeletsEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		first := []string{
			"Starting: Starting kubelet.",
			"NodeHasSufficientMemory: Node node status is now: NodeHasSufficientMemory",
			"NodeHasNoDiskPressure: Node node status is now: NodeHasNoDiskPressure",
			"NodeHasSufficientPID: Node node status is now: NodeHasSufficientPID",
			"NodeReady: Node node status is now: NodeReady",
		}
		if got := r.reasons("node"); !slices.Equal(got, first) {
			t.Errorf("events %q, want %q", got, first)
		}
		r.stop()
		r.start()
		if got := r.reasons("node")[len(first):]; !slices.Equal(got, first[:1]) {
			t.Errorf("a restarted agent tells %q", got)
		}
		r.engine.crash()
		r.after(time.Second)
		r.wantEvent("node", "NodeNotReady: Node node status is now: NodeNotReady")
		r.engine.recover()
		cordon(t, r)
		r.after(node.CheckPeriod)
		r.wantEvent("node", "NodeNotSchedulable: Node node status is now: NodeNotSchedulable")
	})
}

func cordon(t *testing.T, r *rig) {
	t.Helper()
	node := r.node().DeepCopy()
	node.Spec.Unschedulable = true
	if _, err := r.client.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestNodeTellsThatTheMachineWasRestarted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.stop()
		node := r.node().DeepCopy()
		node.Status.NodeInfo.BootID = "another"
		if _, err := r.client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.wantEvent("node", "Rebooted: Node node has been rebooted, boot id: "+r.agent.node.Facts.BootID)
	})
}
