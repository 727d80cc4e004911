package orchestrator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	clienttesting "k8s.io/client-go/testing"
)

func TestDeletedNamespaceIsEmptiedPodsFirst(t *testing.T) {
	f := start(t)
	addNode(t, f, "node")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}}}
	if _, err := f.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.CoreV1().ConfigMaps("shop").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "inside"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.createMap(t, "outside")
	pod := testPod("p", func(p *corev1.Pod) { p.Namespace, p.Spec.NodeName = "shop", "node" })
	if _, err := f.client.CoreV1().Pods("shop").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.client.CoreV1().Namespaces().Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		ns, err := f.client.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(ns.Status.Conditions, func(c corev1.NamespaceCondition) bool { return c.Type == corev1.NamespaceContentRemaining })
		if ns.Status.Phase != corev1.NamespaceTerminating || i < 0 || ns.Status.Conditions[i].Message != "Some resources are remaining: pods. has 1 resource instances" {
			return fmt.Errorf("status %+v", ns.Status)
		}
		return nil
	})
	if _, err := f.client.CoreV1().ConfigMaps("shop").Get(t.Context(), "inside", metav1.GetOptions{}); err != nil {
		t.Errorf("while the pod still ends: %v", err)
	}
	if err := f.client.CoreV1().Pods("shop").Delete(t.Context(), "p", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, err := f.client.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the namespace is still there: %v", err)
		}
		return nil
	})
	if _, err := f.client.CoreV1().ConfigMaps("shop").Get(t.Context(), "inside", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what was in it: %v", err)
	}
	f.wantMaps(t, "outside")
}

func TestNamespaceThatCannotBeEmptiedStaysAndSaysWhy(t *testing.T) {
	f := newFakeAPI(t)
	f.deny = func(a clienttesting.Action) error {
		if a.Matches("delete-collection", "configmaps") {
			return fmt.Errorf("not today")
		}
		return nil
	}
	run(t, f)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}}}
	if _, err := f.client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.CoreV1().ConfigMaps("shop").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "inside"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.client.CoreV1().Namespaces().Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		ns, err := f.client.CoreV1().Namespaces().Get(t.Context(), "shop", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range ns.Status.Conditions {
			if c.Type == corev1.NamespaceDeletionContentFailure && c.Status == corev1.ConditionTrue && c.Reason == "ContentDeletionFailed" {
				return nil
			}
		}
		return fmt.Errorf("conditions %+v", ns.Status.Conditions)
	})
}

// collectorAt is a pod collector that sees what f holds now, with a clock.
func collectorAt(t *testing.T, f *fakeAPI, keep int, clock *time.Time) *podCollector {
	t.Helper()
	factory := informers.NewSharedInformerFactory(f.client, 0)
	c := &podCollector{
		client: f.client, pods: factory.Core().V1().Pods().Lister(), nodes: factory.Core().V1().Nodes().Lister(),
		keep: keep, now: func() time.Time { return *clock }, missing: map[string]time.Time{},
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); factory.Shutdown() })
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
	return c
}

func TestPodsOfALostNodeAreCollectedAfterAWhile(t *testing.T) {
	f := newFakeAPI(t)
	addNode(t, f, "here")
	for _, node := range []string{"here", "lost"} {
		pod := testPod("on-"+node, func(p *corev1.Pod) { p.Spec.NodeName = node })
		if _, err := f.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	clock := time.Now()
	c := collectorAt(t, f, -1, &clock)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {nodeGrace - time.Second, 2}, {nodeGrace + time.Second, 1}} {
		then := clock
		clock = clock.Add(step.after)
		if _, err := c.reconcile(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if pods := f.podList(t, ""); len(pods) != step.want || pods[0].Name != "on-here" && step.want == 1 {
			t.Errorf("%v after the node was missed there are %d pods, want %d", step.after, len(pods), step.want)
		}
		clock = then
	}
}

func TestOldestFinishedPodsBeyondTheLimitAreCollected(t *testing.T) {
	f := newFakeAPI(t)
	for i := range 4 {
		pod := testPod(fmt.Sprint("p", i), func(p *corev1.Pod) {
			p.CreationTimestamp = metav1.Time{Time: time.Unix(int64(i), 0)}
			p.Status.Phase = corev1.PodSucceeded
		})
		if i == 0 {
			pod.Status.Phase = corev1.PodRunning
		}
		if _, err := f.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	clock := time.Now()
	if _, err := collectorAt(t, f, 1, &clock).reconcile(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, pod := range f.podList(t, "") {
		names = append(names, pod.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"p0", "p3"}) {
		t.Errorf("left are %v, want the running p0 and the youngest finished p3", names)
	}
}
