package runtime

import (
	"errors"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"
)

// The Pod is deleted by force and made again in the moment in which its last status is written:
// the informer has seen neither.
func TestPodThatIsMadeAgainUnderItsNameInheritsNoStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var second *v1.Pod
		r.client.PrependReactor("update", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
			first := a.(ktesting.UpdateAction).GetObject().(*v1.Pod)
			if second != nil || !pods.IsFinal(first.Status.Phase) {
				return false, nil, nil
			}
			second = &v1.Pod{ObjectMeta: first.ObjectMeta, Spec: first.Spec, Status: v1.PodStatus{Phase: v1.PodPending}}
			second.UID, second.ResourceVersion = "uid-again", ""
			pods := v1.SchemeGroupVersion.WithResource("pods")
			if err := errors.Join(r.client.Tracker().Delete(pods, "ns", "job"), r.client.Tracker().Create(pods, second, "ns", metav1.CreateOptions{})); err != nil {
				t.Error(err)
			}
			return false, nil, nil
		})
		first := r.pod("job", func(p *v1.Pod) { p.Spec.RestartPolicy = v1.RestartPolicyNever })
		r.engine.exit("k8s_app_job_ns_uid-job_0", 1)
		r.after(time.Minute)
		if pod := r.get("job"); pod.UID != "uid-again" || pod.Status.Phase != v1.PodRunning {
			t.Errorf("pod %s is %s: %+v", pod.UID, pod.Status.Phase, pod.Status.ContainerStatuses)
		}
		if _, known := r.agent.statuses.Latest(first.UID); known {
			t.Error("the status of the first is kept")
		}
	})
}
