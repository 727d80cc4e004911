package runtime

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
		if _, known := r.agent.statuses.latest(first.UID); known {
			t.Error("the status of the first is kept")
		}
	})
}

// A deletion waits until the last status is told.
func TestStatusThatTheAPIRefusesIsNotWrittenForEver(t *testing.T) {
	pod := testPod()
	pod.Spec.RestartPolicy = v1.RestartPolicyNever
	ended := v1.ContainerStateTerminated{ExitCode: 1}
	pod.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "app", State: v1.ContainerState{Terminated: &ended}}}
	client := newFakeAPI()
	if err := client.Tracker().Add(pod); err != nil {
		t.Fatal(err)
	}
	s := newStatuses(client, func(pods.Ref) *v1.Pod { return pod }, slog.New(slog.DiscardHandler), func(string) {})
	want := v1.PodStatus{Phase: v1.PodRunning, ContainerStatuses: []v1.ContainerStatus{{Name: "app", State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{}}}}}
	s.set(pods.RefOf(pod), want)
	woken := false
	if s.flush(pod.UID, func() { woken = true }) {
		t.Fatal("it is told already")
	}
	s.remove(pods.RefOf(pod))
	if err := s.write(t.Context(), pod.UID); err != nil || !woken || !s.flush(pod.UID, nil) {
		t.Errorf("written: %v, woken %t", err, woken)
	}
	s.set(pods.RefOf(pod), want)
	if _, err := client.CoreV1().Pods("ns").Get(t.Context(), pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) || !s.pods[pod.UID].upToDate {
		t.Errorf("it is not removed, or the status is written again: %v", err)
	}
}
