package limits

import (
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// asking is a Pod that asks for resources.
func asking(name string, requests v1.ResourceList) *v1.Pod {
	c := v1.Container{Name: "app"}
	c.Resources.Requests = requests
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Spec: v1.PodSpec{Containers: []v1.Container{c}}}
}

func admitted(all []*v1.Pod) (out []admittedPod) {
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
		if r := shortage(c.pod, admitted(c.others), node); r != nil {
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
