package runtime

import (
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/node"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodeIsRegisteredAsAKubeletWould(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		own := r.node()
		for label, want := range map[string]string{
			v1.LabelHostname: "node", v1.LabelOSStable: "linux", "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": goruntime.GOARCH,
		} {
			if got, ok := own.Labels[label]; !ok || got != want {
				t.Errorf("label %s is %q", label, got)
			}
		}
		s := own.Status
		if s.Capacity.Cpu().IsZero() || s.Capacity.Memory().IsZero() || s.Capacity.Pods().Value() != 110 || s.Allocatable.StorageEphemeral().IsZero() {
			t.Errorf("capacity %v, allocatable %v", s.Capacity, s.Allocatable)
		}
		if !slices.Contains(s.DeclaredFeatures, "RestartAllContainersOnContainerExits") {
			t.Errorf("declared features %v: the scheduler places no pod here that wants one", s.DeclaredFeatures)
		}
		if s.NodeInfo.ContainerRuntimeVersion != "docker://20.10.24" || s.NodeInfo.KubeletVersion != node.DefaultVersion || s.NodeInfo.KernelVersion == "" || s.NodeInfo.OSImage == "" {
			t.Errorf("nodeInfo %+v", s.NodeInfo)
		}
		if len(s.Addresses) != 2 || s.Addresses[0].Address != "10.244.0.1" || s.Addresses[1].Address != "node" || len(s.Conditions) != 4 || nodeReady(own).Status != v1.ConditionTrue {
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
		r.client.ClearActions()
		r.after(15 * time.Second)
		for _, action := range r.client.Actions() {
			if action.Matches("get", "nodes") {
				t.Errorf("the API is asked for a node that is known: %v", action)
			}
		}
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

func TestNodeKeepsWhatOthersDeclareOfIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		declare := func(change func(*v1.NodeStatus)) {
			t.Helper()
			node := r.node().DeepCopy()
			change(&node.Status)
			if _, err := r.client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		one := resource.MustParse("1")
		declare(func(s *v1.NodeStatus) {
			for _, name := range []v1.ResourceName{"example.com/gpu", "hugepages-64Ki", v1.ResourceCPU} {
				s.Capacity[name] = resource.MustParse("1")
			}
			s.Allocatable["example.com/stale"] = one
		})
		check := func(when string, gpus int64) {
			t.Helper()
			s := r.node().Status
			for what, list := range map[string]v1.ResourceList{"capacity": s.Capacity, "allocatable": s.Allocatable} {
				gpu := list["example.com/gpu"]
				_, huge := list["hugepages-64Ki"]
				if gpu.Value() != gpus || huge || list.Cpu().Value() != int64(r.agent.node.Facts.CPUs) {
					t.Errorf("%s the %s is %v", when, what, list)
				}
			}
			if _, stale := s.Allocatable["example.com/stale"]; stale {
				t.Errorf("%s what is no capacity is allocatable", when)
			}
		}
		r.after(node.CheckPeriod)
		check("after a look", 1)
		r.stop()
		r.start()
		check("after a restart of the agent", 1)
		declare(func(s *v1.NodeStatus) { delete(s.Capacity, "example.com/gpu") })
		r.after(node.CheckPeriod)
		check("when it was taken back", 0)
	})
}

func TestPodsShareWhatOthersDeclareOfTheNode(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		node := r.node().DeepCopy()
		node.Status.Capacity["example.com/gpu"], node.Status.Allocatable["example.com/gpu"] = resource.MustParse("1"), resource.MustParse("1")
		if _, err := r.client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		asks := func(name string) func(*v1.Pod) {
			return func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests = amounts(name, "1") }
		}
		r.pod("first", asks("example.com/gpu"))
		r.wantState("first", "app", "running 0")
		r.pod("second", asks("example.com/gpu"))
		const message = "Node didn't have enough resource: example.com/gpu, requested: 1, used: 1, capacity: 1"
		if s := r.get("second").Status; s.Phase != v1.PodFailed || s.Reason != "OutOfexample.com/gpu" || s.Message != "Pod was rejected: "+message {
			t.Errorf("%s, %s: %s", s.Phase, s.Reason, s.Message)
		}
		r.pod("elsewhere", asks("example.com/ofthecluster"))
		r.wantState("elsewhere", "app", "running 0")
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
