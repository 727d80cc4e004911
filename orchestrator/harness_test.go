package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
)

// testDeadline is how long a test waits for a condition. It is far beyond what
// any takes, for a machine that is busy with other things.
const testDeadline = 20 * time.Second

// testRootCA stands for a certificate.
const testRootCA = "root CA"

// start runs the whole orchestrator against a new fake API until the test ends.
func start(t *testing.T) *fakeAPI {
	t.Helper()
	f := newFakeAPI(t)
	run(t, f)
	return f
}

func run(t *testing.T, f *fakeAPI) {
	t.Helper()
	factory := informers.NewSharedInformerFactory(f.client, 0)
	o, err := New(f.client, f.meta, factory, Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), RootCA: []byte(testRootCA)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	factory.Start(ctx.Done())
	go func() { ended <- o.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		factory.Shutdown()
	})
}

// eventually waits until check finds nothing wrong.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(testDeadline)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", testDeadline, err)
		}
		time.Sleep(2 * time.Millisecond) // polls a condition
	}
}

func (f *fakeAPI) podList(t *testing.T, selector string) []corev1.Pod {
	t.Helper()
	list, err := f.client.CoreV1().Pods(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// wantPods waits for so many pods that are not on their way out.
func (f *fakeAPI) wantPods(t *testing.T, selector string, want int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	eventually(t, func() error {
		pods = slices.DeleteFunc(f.podList(t, selector), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
		if len(pods) != want {
			return fmt.Errorf("%d pods %s, want %d", len(pods), selector, want)
		}
		return nil
	})
	return pods
}

// update changes an object's status or spec as a node agent or user would.
func (f *fakeAPI) setStatus(t *testing.T, pod *corev1.Pod, ready bool, ip string) {
	t.Helper()
	pod, err := f.client.CoreV1().Pods(pod.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()}}
	if ip != "" {
		pod.Status.PodIP, pod.Status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}
	if _, err := f.client.CoreV1().Pods(pod.Namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// kubelet makes every pod of a node run: ready at once, and gone when deleted.
func kubelet(t *testing.T, f *fakeAPI) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		for ip := 1; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
			list, _ := f.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
			for _, pod := range list.Items {
				switch {
				case pod.Spec.NodeName == "":
				case pod.DeletionTimestamp != nil:
					_ = f.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
				case pod.Status.Phase != corev1.PodRunning && !strings.HasSuffix(pod.Spec.Containers[0].Image, ":broken"):
					ip++
					f.setStatus(t, &pod, true, fmt.Sprintf("10.244.%d.%d", ip/250, ip%250))
				}
			}
		}
	}()
}

func addNode(t *testing.T, f *fakeAPI, name string, change ...func(*corev1.Node)) {
	t.Helper()
	node := testNode(name)
	for _, c := range change {
		c(node)
	}
	if _, err := f.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func testTemplate(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "echo"}},
		Spec:       corev1.PodSpec{SchedulerName: "default-scheduler", Containers: []corev1.Container{{Name: "echo", Image: image}}},
	}
}

func testReplicaSet(name string, replicas int32) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "echo"}},
			Template: testTemplate("echo:latest"),
		},
	}
}

func (f *fakeAPI) createReplicaSet(t *testing.T, rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	t.Helper()
	got, err := f.client.AppsV1().ReplicaSets(rs.Namespace).Create(t.Context(), rs, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
