package orchestrator_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// A node that says nothing more is given up after 50 s, as by kube-controller-manager, so this test takes as long.
func TestANodeThatGoesSilentLosesItsPods(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	_, err := c.client.CoreV1().Nodes().Create(t.Context(), newNode("silent"), metav1.CreateOptions{})
	fatal(t, err)
	for name, seconds := range map[string]int64{"impatient": 0, "patient": 3600} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: template(nil, "echo:1").Spec}
		pod.Spec.NodeName = "silent"
		pod.Spec.Tolerations = []corev1.Toleration{{
			Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		}}
		_, err := c.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
		fatal(t, err)
	}
	eventuallyWithin(t, 2*testDeadline, func() error {
		node, err := c.client.CoreV1().Nodes().Get(t.Context(), "silent", metav1.GetOptions{})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
		tainted := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
			return t.Key == corev1.TaintNodeUnreachable && t.Effect == corev1.TaintEffectNoExecute
		})
		pod, err := c.client.CoreV1().Pods("default").Get(t.Context(), "impatient", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if node.Status.Conditions[i].Status != corev1.ConditionUnknown || !tainted || pod.DeletionTimestamp == nil {
			return fmt.Errorf("condition %+v, taints %+v, the pod's deletion %v", node.Status.Conditions[i], node.Spec.Taints, pod.DeletionTimestamp)
		}
		return nil
	})
	pod, err := c.client.CoreV1().Pods("default").Get(t.Context(), "patient", metav1.GetOptions{})
	fatal(t, err)
	if pod.DeletionTimestamp != nil {
		t.Error("a pod that tolerates an hour of silence is deleted")
	}
}

func TestAFinishedPodLeavesItsPlaceToOthers(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, name := range []string{"first", "second"} { // both do not fit at once
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: exiting("0").Spec}
		pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("5")}
		_, err := c.client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
		fatal(t, err)
		eventually(t, func() error {
			pod, err := c.client.CoreV1().Pods("default").Get(t.Context(), name, metav1.GetOptions{})
			if err != nil || pod.Status.Phase != corev1.PodSucceeded {
				return fmt.Errorf("%s on %q is %s: %+v (%v)", name, pod.Spec.NodeName, pod.Status.Phase, pod.Status.Conditions, err)
			}
			return nil
		})
	}
}

// leaseWatches counts the watches of Leases that are open: the node-lifecycle controller has one.
type leaseWatches struct {
	http.RoundTripper
	open *atomic.Int32
}

func (w leaseWatches) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.RoundTripper.RoundTrip(r)
	if err == nil && answer.StatusCode == http.StatusOK && r.URL.Query().Has("watch") && strings.HasSuffix(r.URL.Path, "/leases") && strings.Contains(r.URL.Path, corev1.NamespaceNodeLease) {
		w.open.Add(1)
		answer.Body = &closing{answer.Body, sync.OnceFunc(func() { w.open.Add(-1) })}
	}
	return answer, err
}

type closing struct {
	io.ReadCloser
	closed func()
}

func (c *closing) Close() error {
	c.closed()
	return c.ReadCloser.Close()
}

func TestTheControllersOfNodesRestWhileAllNodesAreWell(t *testing.T) {
	t.Parallel()
	var watches atomic.Int32
	c := &cluster{t: t, dir: t.TempDir(), loopsRest: 50 * time.Millisecond, connect: func(config *rest.Config) {
		config.Wrap(func(inner http.RoundTripper) http.RoundTripper { return leaseWatches{inner, &watches} })
	}}
	c.start()
	t.Cleanup(func() { c.end() })
	nodes := c.client.CoreV1().Nodes()
	running := func(want int32) {
		t.Helper()
		eventually(t, func() error {
			if got := watches.Load(); got != want {
				return fmt.Errorf("%d watches of Leases, want %d", got, want)
			}
			return nil
		})
	}
	cordon := func(is bool) {
		t.Helper()
		eventually(t, func() error { // the node registers meanwhile
			_, err := nodes.Patch(t.Context(), nodeName, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, is), metav1.PatchOptions{})
			return err
		})
		eventually(t, func() error {
			node, err := nodes.Get(t.Context(), nodeName, metav1.GetOptions{})
			fatal(t, err)
			tainted := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeUnschedulable })
			if tainted != is {
				return fmt.Errorf("taints %+v, cordoned: %t", node.Spec.Taints, is)
			}
			return nil
		})
	}
	for range 3 { // each time they are built anew
		cordon(true)
		running(1)
		cordon(false)
		running(0)
	}
	_, err := nodes.Create(t.Context(), newNode("another"), metav1.CreateOptions{})
	fatal(t, err)
	running(1)
	fatal(t, nodes.Delete(t.Context(), "another", metav1.DeleteOptions{}))
	running(0)
}
