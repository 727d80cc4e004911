package runtime

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"
)

func TestPodOfAnotherSystemIsTurnedAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("pane", func(p *v1.Pod) { p.Spec.OS = &v1.PodOS{Name: v1.Windows} })
		r.pod("here", func(p *v1.Pod) { p.UID, p.Spec.OS = "uid-here", &v1.PodOS{Name: v1.Linux} })
		const message = "Failed to admit pod as the OS field doesn't match node OS"
		if s := r.get("pane").Status; s.Phase != v1.PodFailed || s.Reason != "PodOSNotSupported" || s.Message != "Pod was rejected: "+message {
			t.Errorf("%s, %s: %s", s.Phase, s.Reason, s.Message)
		}
		r.wantEvent("pane", "PodOSNotSupported: "+message)
		r.wantState("here", "app", "running 0")
	})
}

func TestPodThatDoesNotFitIsTurnedAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("big", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests = amounts("cpu", "1000") })
		pod := r.get("big")
		message := fmt.Sprintf("Node didn't have enough resource: cpu, requested: 1000000, used: 0, capacity: %d", 1000*r.agent.node.Facts.CPUs)
		if s := pod.Status; s.Phase != v1.PodFailed || s.Reason != "OutOfcpu" || s.Message != "Pod was rejected: "+message || len(s.ContainerStatuses) > 0 {
			t.Errorf("%s, %s: %s, containers %v", s.Phase, s.Reason, s.Message, s.ContainerStatuses)
		}
		r.wantEvent("big", "OutOfcpu: "+message)
		r.wantNames()
	})
}

func TestPodsThatRanAreNotTurnedAwayByARestartedAgent(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("one", func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests = amounts("cpu", "10m") })
		r.stop()
		r.engine.exit("k8s_POD_one_ns_uid-one_0", 137) // it has to be built anew
		r.engine.exit("k8s_app_one_ns_uid-one_0", 137)
		r.opts.MaxPods = -1 // a node that takes nobody
		r.start()
		r.wantState("one", "app", "running 1")
		r.pod("two", nil)
		if pod := r.get("two"); pod.Status.Reason != "OutOfpods" {
			t.Errorf("a new one is %s, %s", pod.Status.Phase, pod.Status.Reason)
		}
	})
}

func TestPodIsTurnedAwayFromANodeThatItDoesNotSelect(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("here", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{v1.LabelHostname: "node"} })
		r.wantState("here", "app", "running 0")
		reads := func() int {
			return len(slices.DeleteFunc(r.client.Actions(), func(a clienttesting.Action) bool { return !a.Matches("get", "nodes") }))
		}
		before, pod := reads(), r.get("here").DeepCopy()
		pod.Annotations = map[string]string{"look": "again"}
		if _, err := r.client.CoreV1().Pods("ns").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.settle()
		if after := reads(); after != before {
			t.Errorf("once it was let in the node's labels were read %d times more", after-before)
		}
		r.pod("elsewhere", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} })
		if s := r.get("elsewhere").Status; s.Phase != v1.PodFailed || s.Reason != "NodeAffinity" || !strings.HasPrefix(s.Message, "Pod was rejected: Predicate NodeAffinity failed") {
			t.Errorf("%s, %s: %s", s.Phase, s.Reason, s.Message)
		}
	})
}

func TestPodIsTurnedAwayFromAPortThatAnotherHas(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		port := func(host int32) func(*v1.Pod) {
			return func(p *v1.Pod) {
				p.Spec.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: 80, HostPort: host, Protocol: v1.ProtocolTCP}}
			}
		}
		r.pod("first", port(8080))
		r.pod("second", port(8080))
		r.pod("third", port(8081))
		if s := r.get("second").Status; s.Reason != "NodePorts" {
			t.Errorf("second: %s, %s", s.Phase, s.Reason)
		}
		r.wantState("third", "app", "running 0")
	})
}
