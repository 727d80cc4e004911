package runtime

import (
	"slices"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/usage"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPressureIsAKubeletsButNotForTheDiskOfALaptop(t *testing.T) {
	memory := func(n int64) machineRoom { return machineRoom{memory: &n} }
	tasks := func(n int64) machineRoom { return machineRoom{tasks: &n} }
	disk := func(size, free, inodes, freeInodes uint64) *usage.Filesystem {
		return &usage.Filesystem{Bytes: size, FreeBytes: free, Inodes: inodes, FreeInodes: freeInodes}
	}
	const gb, none = 1 << 30, v1.NodeConditionType("")
	for _, c := range []struct {
		what string
		left machineRoom
		want v1.NodeConditionType
	}{
		{"nothing is known", machineRoom{}, none},
		{"enough memory", memory(100 << 20), none},
		{"little memory", memory(100<<20 - 1), v1.NodeMemoryPressure},
		{"enough processes", tasks(1000), none},
		{"few processes", tasks(999), v1.NodePIDPressure},
		{"a laptop's disk that is 99 % full", machineRoom{nodeFs: disk(1000*gb, 10*gb, 1e8, 1e7), imageFs: disk(1000*gb, 10*gb, 1e8, 1e7)}, none},
		{"the pods' disk is full", machineRoom{nodeFs: disk(1000*gb, gb-1, 1e8, 1e7)}, v1.NodeDiskPressure},
		{"the images' disk is full", machineRoom{imageFs: disk(1000*gb, 2*gb-1, 1e8, 1e7)}, v1.NodeDiskPressure},
		{"a tenth of a small disk", machineRoom{nodeFs: disk(8*gb, gb*82/100, 1e6, 1e5)}, none},
		{"less than a tenth of a small disk", machineRoom{nodeFs: disk(8*gb, gb*79/100, 1e6, 1e5)}, v1.NodeDiskPressure},
		{"few inodes", machineRoom{nodeFs: disk(8*gb, 4*gb, 1e6, 4e4)}, v1.NodeDiskPressure},
		{"a twentieth of very many inodes", machineRoom{nodeFs: disk(1000*gb, 400*gb, 1e9, 2e5)}, none},
		{"a filesystem that counts no inodes", machineRoom{nodeFs: disk(8*gb, 4*gb, 0, 0)}, none},
	} {
		for _, p := range pressureWords {
			if got := c.left.under(p.kind); got != (p.kind == c.want) {
				t.Errorf("%s: %s is %v", c.what, p.kind, got)
			}
		}
	}
}

func TestNodeReportsPressureWhileItLastsAndALittleLonger(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		want := func(when string, status v1.ConditionStatus, reason, message string) time.Time {
			t.Helper()
			c := nodeCondition(r.node(), v1.NodeMemoryPressure)
			if c.Status != status || c.Reason != reason || c.Message != message {
				t.Errorf("%s: %s, %s: %s", when, c.Status, c.Reason, c.Message)
			}
			return c.LastTransitionTime.Time
		}
		enough := want("at first", v1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available")
		little := int64(50 << 20)
		r.room.Store(&machineRoom{memory: &little})
		r.after(nodeCheck)
		began := want("with little memory", v1.ConditionTrue, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
		if !began.After(enough) {
			t.Errorf("the transition of %v is one of %v", enough, began)
		}
		r.room.Store(nil)
		r.after(nodeCheck)
		want("a moment later", v1.ConditionTrue, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
		r.after(pressureLasts + nodeCheck)
		want("later", v1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available")
		for _, kind := range []v1.NodeConditionType{v1.NodeDiskPressure, v1.NodePIDPressure} {
			if c := nodeCondition(r.node(), kind); c.Status != v1.ConditionFalse {
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
		r.after(nodeCheck)
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
		r.wantEvent("node", "Rebooted: Node node has been rebooted, boot id: "+r.agent.node.facts.bootID)
	})
}
