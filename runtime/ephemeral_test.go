package runtime

import (
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/runtime/status"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// debug adds an ephemeral container, as `kubectl debug` does.
func (r *rig) debug(pod, name, target string) {
	r.t.Helper()
	p := r.get(pod).DeepCopy()
	p.Generation++
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, v1.EphemeralContainer{
		EphemeralContainerCommon: v1.EphemeralContainerCommon{Name: name, Image: "app:1", ImagePullPolicy: v1.PullIfNotPresent},
		TargetContainerName:      target,
	})
	if _, err := r.client.CoreV1().Pods("ns").Update(r.t.Context(), p, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
	r.settle()
}

func TestEphemeralContainerRunsOnceBesideTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.debug("web", "debugger", "app")
		r.wantState("web", "debugger", "running 0")
		target := r.engine.get("k8s_app_web_ns_uid-web_0")
		if c := r.engine.get("k8s_debugger_web_ns_uid-web_0"); c.spec.PID != "container:"+target.ID {
			t.Errorf("its process namespace is %q", c.spec.PID)
		}
		if pod := r.get("web"); !status.IsReady(pod.Status) || pod.Status.EphemeralContainerStatuses[0].Ready {
			t.Errorf("status %+v", pod.Status)
		}
		r.engine.exit("k8s_debugger_web_ns_uid-web_0", 1)
		r.after(time.Minute)
		r.wantState("web", "debugger", "Error 0")
		if pod := r.get("web"); !status.IsReady(pod.Status) || pod.Status.Phase != v1.PodRunning {
			t.Errorf("status %+v", pod.Status)
		}
		r.delete("web", 30)
		r.wantState("web", "app", "gone")
		r.wantNames()
	})
}

func TestEphemeralContainerRunsInAPodThatDoesNotComeUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", func(p *v1.Pod) {
			p.Spec.InitContainers = []v1.Container{app("init")}
		})
		r.debug("web", "debugger", "")
		r.wantState("web", "debugger", "running 0")
		r.wantState("web", "app", "waiting PodInitializing 0")
	})
}

func TestEphemeralContainerThatCannotStartHasEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("web", nil)
		r.engine.startErr = failStart("debugger", "no such file")
		r.debug("web", "debugger", "")
		r.after(time.Second)
		r.wantState("web", "debugger", "StartError 0")
	})
}
