package runtime

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
)

// asking is a Pod that asks for resources.
func asking(name string, requests v1.ResourceList) *v1.Pod {
	c := app("app")
	c.Resources.Requests = requests
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: v1.PodSpec{Containers: []v1.Container{c}}}
}

func asNeighbours(all []*v1.Pod) (out []admittedPod) {
	for _, pod := range all {
		out = append(out, admittedPod{pod, pods.Requests(pod)})
	}
	return out
}

func TestShortageNamesWhatIsMissingInAKubeletsWords(t *testing.T) {
	node := amounts("cpu", "2", "memory", "1Gi", "ephemeral-storage", "10Gi", "pods", "3", "hugepages-2Mi", "0")
	one := asking("one", amounts("cpu", "1500m", "memory", "512Mi", "ephemeral-storage", "9Gi"))
	for _, c := range []struct {
		what   string
		pod    *v1.Pod
		others []*v1.Pod
		want   string // "reason: message"
	}{
		{"fits", asking("x", amounts("cpu", "500m", "memory", "512Mi")), []*v1.Pod{one}, ""},
		{"asks for nothing on a full node", asking("x", nil), []*v1.Pod{asking("all", amounts("cpu", "2"))}, ""},
		{"CPU", asking("x", amounts("cpu", "501m")), []*v1.Pod{one}, "OutOfcpu: Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000"},
		{"memory", asking("x", amounts("memory", "513Mi")), []*v1.Pod{one}, "OutOfmemory: Node didn't have enough resource: memory, requested: 537919488, used: 536870912, capacity: 1073741824"},
		{"disk", asking("x", amounts("ephemeral-storage", "2Gi")), []*v1.Pod{one}, "OutOfephemeral-storage: Node didn't have enough resource: ephemeral-storage, requested: 2147483648, used: 9663676416, capacity: 10737418240"},
		{"CPU before memory", asking("x", amounts("cpu", "3", "memory", "3Gi")), nil, "OutOfcpu: Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000"},
		{"Pods", asking("x", nil), []*v1.Pod{one, one, one}, "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"},
		{"huge pages", asking("x", amounts("hugepages-2Mi", "4Mi")), nil, "OutOfhugepages-2Mi: Node didn't have enough resource: hugepages-2Mi, requested: 4194304, used: 0, capacity: 0"},
		{"huge pages of a size that the kernel has not", asking("x", amounts("hugepages-64Ki", "64Ki")), nil, "OutOfhugepages-64Ki: Node didn't have enough resource: hugepages-64Ki, requested: 65536, used: 0, capacity: 0"},
		{"a resource that is not the node's", asking("x", amounts("example.com/gpu", "1")), nil, ""},
	} {
		got := ""
		if r := shortage(c.pod, asNeighbours(c.others), node); r != nil {
			got = r.Reason + ": " + r.Message
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

func TestWhatAPodHoldsFollowsItsVersions(t *testing.T) {
	pod := asking("x", amounts("cpu", "1"))
	h := &holding{grant: grantOf(pod)}
	for range 2 {
		if got := count(v1.ResourceCPU, h.requestsOf(pod)); got != 1000 {
			t.Fatalf("it holds %dm", got)
		}
	}
	grown := pod.DeepCopy() // nobody granted it yet
	grown.Spec.Containers[0].Resources.Requests = amounts("cpu", "3")
	if got := count(v1.ResourceCPU, h.requestsOf(grown)); got != 1000 {
		t.Errorf("with a resize that was not granted it holds %dm", got)
	}
	shrinking := pod.DeepCopy() // its container has more still
	shrinking.Status.ContainerStatuses = []v1.ContainerStatus{{Name: pod.Spec.Containers[0].Name, AllocatedResources: amounts("cpu", "2"), Resources: &v1.ResourceRequirements{Requests: amounts("cpu", "2")}}}
	if got := count(v1.ResourceCPU, h.requestsOf(shrinking)); got != 2000 {
		t.Errorf("while it shrinks it holds %dm", got)
	}
}

func TestOverheadAndThePodsOwnRequestsCount(t *testing.T) {
	pod := asking("x", amounts("cpu", "1"))
	pod.Spec.Overhead = amounts("cpu", "250m")
	if got := count(v1.ResourceCPU, pods.Requests(pod)); got != 1250 {
		t.Errorf("with overhead it takes %dm", got)
	}
	pod.Spec.Resources = &v1.ResourceRequirements{Requests: amounts("cpu", "2")}
	if got := count(v1.ResourceCPU, pods.Requests(pod)); got != 2250 {
		t.Errorf("with requests of its own it takes %dm", got)
	}
}

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
