package runtime

import (
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
)

func TestPodThatIsActiveForTooLongFails(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.stopDelay = 5 * time.Second
		limit := int64(60)
		r.pod("slow", func(p *v1.Pod) { p.Spec.ActiveDeadlineSeconds = &limit })
		r.after(50 * time.Second)
		r.wantState("slow", "app", "running 0")
		r.after(11 * time.Second)
		pod := r.get("slow")
		if pod.Status.Phase != v1.PodRunning || pod.Status.Reason != "DeadlineExceeded" || status.IsReady(pod.Status) {
			t.Errorf("while its containers end: %s, reason %q, ready %v", pod.Status.Phase, pod.Status.Reason, status.IsReady(pod.Status))
		}
		r.after(5 * time.Second)
		pod = r.get("slow")
		if pod.Status.Phase != v1.PodFailed || pod.Status.Reason != "DeadlineExceeded" ||
			pod.Status.Message != "Pod was active on the node longer than the specified deadline" {
			t.Errorf("after: %s, reason %q: %s", pod.Status.Phase, pod.Status.Reason, pod.Status.Message)
		}
		r.wantNames("k8s_app_slow_ns_uid-slow_0 exited")
		r.wantEvent("slow", "DeadlineExceeded: ")
	})
}

func TestFailureOutlivesTheAgent(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.engine.stopDelay = time.Hour
		limit := int64(10)
		r.pod("slow", func(p *v1.Pod) { p.Spec.ActiveDeadlineSeconds = &limit })
		r.after(11 * time.Second)
		r.stop()
		r.engine.exit("k8s_app_slow_ns_uid-slow_0", 0)
		r.start()
		if pod := r.get("slow"); pod.Status.Phase != v1.PodFailed || pod.Status.Reason != "DeadlineExceeded" {
			t.Errorf("%s, reason %q", pod.Status.Phase, pod.Status.Reason)
		}
	})
}
