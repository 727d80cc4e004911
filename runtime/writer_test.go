package runtime

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ktesting "k8s.io/client-go/testing"
)

// The Pod is deleted by force and made again in the moment in which its last status is written:
// the informer has seen neither.
func TestPodThatIsMadeAgainUnderItsNameInheritsNoStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		first := r.pod("job", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })
		second := &v1.Pod{ObjectMeta: first.ObjectMeta, Spec: first.Spec, Status: v1.PodStatus{Phase: v1.PodPending}}
		second.UID, second.ResourceVersion = types.UID("uid-again"), ""
		pods, namespace := v1.SchemeGroupVersion.WithResource("pods"), first.Namespace
		replaced := false
		r.client.PrependReactor("update", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
			if status := a.(ktesting.UpdateAction).GetObject().(*v1.Pod).Status; replaced || !isFinal(status.Phase) {
				return false, nil, nil
			}
			replaced = true
			if err := r.client.Tracker().Delete(pods, namespace, first.Name); err != nil {
				t.Error(err)
			}
			if err := r.client.Tracker().Create(pods, second, namespace, metav1.CreateOptions{}); err != nil {
				t.Error(err)
			}
			return false, nil, nil
		})
		r.engine.exit("k8s_app_job_ns_uid-job_0", 1)
		r.after(time.Minute)
		if pod := r.get("job"); !replaced || pod.UID != second.UID || pod.Status.Phase != v1.PodRunning {
			t.Errorf("replaced: %t; pod %s is %s: %+v", replaced, pod.UID, pod.Status.Phase, pod.Status.ContainerStatuses)
		}
		if _, known := r.agent.statuses.latest(first.UID); known {
			t.Error("the status of the first is kept")
		}
	})
}
