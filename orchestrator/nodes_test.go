package orchestrator_test

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
