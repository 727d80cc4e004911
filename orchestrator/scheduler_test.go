package orchestrator

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// testNode has 2 CPUs, 1 GiB and room for 10 pods.
func testNode(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("10"),
			},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
}

func testPod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: testTemplate("echo").Spec}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func cpu(amount string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(amount)}
	}
}

func hostPort(port int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: port}}
	}
}

func TestPlaceSaysWhyAPodFitsNowhere(t *testing.T) {
	onNode := func(p *corev1.Pod) { p.Spec.NodeName = "node" }
	taint := corev1.Taint{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule}
	for _, test := range []struct {
		name   string
		pod    *corev1.Pod
		node   func(*corev1.Node)
		placed []*corev1.Pod
		want   string // the reason, "" if it fits
	}{
		{name: "room", pod: testPod("p")},
		{name: "cpu", pod: testPod("p", cpu("3")), want: "0/1 nodes are available: 1 Insufficient cpu."},
		{name: "cpu that others hold", pod: testPod("p", cpu("1500m")), placed: []*corev1.Pod{testPod("q", cpu("1"), onNode)}, want: "0/1 nodes are available: 1 Insufficient cpu."},
		{name: "all of it", pod: testPod("p", cpu("2"))},
		{name: "several resources", pod: testPod("p", cpu("3"), func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests[corev1.ResourceMemory] = resource.MustParse("2Gi")
		}), want: "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."},
		{name: "a resource that the node lacks", pod: testPod("p", func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}
		}), want: "0/1 nodes are available: 1 Insufficient example.com/gpu."},
		{name: "pods", pod: testPod("p"), node: func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("1") },
			placed: []*corev1.Pod{testPod("q", onNode)}, want: "0/1 nodes are available: 1 Too many pods."},
		{name: "selector", pod: testPod("p", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }),
			want: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
		{name: "affinity", pod: testPod("p", func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpNotIn, Values: []string{"node"}}}}},
			}}}
		}), want: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."},
		{name: "taint", pod: testPod("p"), node: func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{taint} },
			want: "0/1 nodes are available: 1 node(s) had untolerated taint(s)."},
		{name: "tolerated taint", pod: testPod("p", func(p *corev1.Pod) {
			p.Spec.Tolerations = []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}}
		}), node: func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{taint} }},
		{name: "cordoned", pod: testPod("p"), node: func(n *corev1.Node) { n.Spec.Unschedulable = true },
			want: "0/1 nodes are available: 1 node(s) were unschedulable."},
		{name: "not ready", pod: testPod("p"), node: func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse },
			want: "0/1 nodes are available: 1 node(s) had untolerated taint(s)."},
		{name: "never ready", pod: testPod("p"), node: func(n *corev1.Node) { n.Status.Conditions = nil },
			want: "0/1 nodes are available: 1 node(s) had untolerated taint(s)."},
		{name: "host port", pod: testPod("p", hostPort(80)), placed: []*corev1.Pod{testPod("q", hostPort(80), onNode)},
			want: "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."},
		{name: "another host port", pod: testPod("p", hostPort(80)), placed: []*corev1.Pod{testPod("q", hostPort(81), onNode)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := testNode("node")
			if test.node != nil {
				test.node(node)
			}
			got, reason := place(test.pod, []*corev1.Node{node}, test.placed)
			if reason != test.want || (got == "node") != (test.want == "") {
				t.Errorf("place = %q, %q; want reason %q", got, reason, test.want)
			}
		})
	}
	if _, reason := place(testPod("p"), nil, nil); reason != "no nodes available to schedule pods" {
		t.Errorf("without nodes: %q", reason)
	}
}

func TestPlacePicksTheLeastLoadedNode(t *testing.T) {
	busy := testPod("busy", cpu("1"), func(p *corev1.Pod) { p.Spec.NodeName = "a" })
	if got, _ := place(testPod("p"), []*corev1.Node{testNode("a"), testNode("b")}, []*corev1.Pod{busy}); got != "b" {
		t.Errorf("placed on %q, want b, which has nothing to do", got)
	}
}

func TestSchedulerBindsAndSaysSo(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	if _, err := f.client.CoreV1().Pods("default").Create(t.Context(), testPod("p"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if got := f.podList(t, "")[0].Spec.NodeName; got != "node" {
			return fmt.Errorf("pod is on node %q", got)
		}
		return f.hasEvent(t, "Scheduled", "Successfully assigned default/p to node")
	})
}

func TestSchedulerExplainsAndRetriesWhenRoomAppears(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	for _, pod := range []*corev1.Pod{testPod("first", cpu("2")), testPod("second", cpu("1"))} {
		if _, err := f.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if pod.Name == "first" {
			eventually(t, func() error { return f.onNode(t, "first", "node") })
		}
	}
	const reason = "0/1 nodes are available: 1 Insufficient cpu."
	eventually(t, func() error {
		pod, err := f.client.CoreV1().Pods("default").Get(t.Context(), "second", metav1.GetOptions{})
		if err != nil {
			return err
		}
		_, c := podutil.GetPodCondition(&pod.Status, corev1.PodScheduled)
		if c == nil || c.Status != corev1.ConditionFalse || c.Reason != "Unschedulable" || c.Message != reason {
			return fmt.Errorf("condition %+v", c)
		}
		return f.hasEvent(t, "FailedScheduling", reason)
	})
	if err := f.client.CoreV1().Pods("default").Delete(t.Context(), "first", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return f.onNode(t, "second", "node") })
}

func (f *fakeAPI) onNode(t *testing.T, pod, node string) error {
	got, err := f.client.CoreV1().Pods("default").Get(t.Context(), pod, metav1.GetOptions{})
	if err == nil && got.Spec.NodeName != node {
		err = fmt.Errorf("pod %s is on node %q, want %q", pod, got.Spec.NodeName, node)
	}
	return err
}

// With the watch held back the cache shows no pod as bound, and yet the places
// given away count.
func TestSchedulerDoesNotGiveAPlaceTwice(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	if _, err := f.client.CoreV1().Pods("default").Create(t.Context(), testPod("zero"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return f.onNode(t, "zero", "node") })
	for i := range 6 {
		if _, err := f.client.CoreV1().Pods("default").Create(t.Context(), testPod(fmt.Sprint("p", i), cpu("600m")), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		waiting, bound := 0, 0
		for _, pod := range f.podList(t, "") {
			if pod.Spec.NodeName != "" {
				bound++
			} else if len(pod.Status.Conditions) > 0 {
				waiting++
			}
		}
		if bound != 1+3 || waiting != 3 {
			return fmt.Errorf("%d bound, %d told to wait; want 4 and 3: three times 600m fit into 2 CPUs", bound, waiting)
		}
		return nil
	})
}

func TestSchedulerLeavesGatedAndForeignPodsAlone(t *testing.T) {
	s := &scheduler{name: "default-scheduler"}
	for name, pod := range map[string]*corev1.Pod{
		"gated":      testPod("p", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "wait"}} }),
		"another's":  testPod("p", func(p *corev1.Pod) { p.Spec.SchedulerName = "mine" }),
		"bound":      testPod("p", func(p *corev1.Pod) { p.Spec.NodeName = "node" }),
		"on its way": testPod("p", func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) }),
	} {
		if s.waits(pod) {
			t.Errorf("the scheduler takes a pod that is %s", name)
		}
	}
	if !s.waits(testPod("p")) {
		t.Error("the scheduler does not take a pod that waits for it")
	}
}
