package runtime

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

func TestFailedContainerMayLeaveTheEndOfItsLogAsItsMessage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.pod("job", func(p *v1.Pod) {
			p.Spec.RestartPolicy = v1.RestartPolicyNever
			p.Spec.Containers[0].TerminationMessagePolicy = v1.TerminationMessageFallbackToLogsOnError
		})
		r.engine.exit("k8s_app_job_ns_uid-job_0", 1)
		r.after(time.Second)
		if got, want := r.get("job").Status.ContainerStatuses[0].State.Terminated.Message, "last words of k8s_app_job_ns_uid-job_0\n"; got != want {
			t.Errorf("message %q, want %q", got, want)
		}
	})
}

func TestInitContainerIsRestartedByItsOwnRulesInAPodThatRestartsNothing(t *testing.T) {
	onFailure, rule := v1.ContainerRestartPolicyOnFailure, trigger("init")
	rule.RestartPolicyRules[0].Action = v1.ContainerRestartRuleActionRestart
	policy := app("init")
	policy.RestartPolicy = &onFailure
	for what, init := range map[string]v1.Container{"a rule": rule, "a policy": policy} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.pod("web", func(p *v1.Pod) {
				p.Spec.RestartPolicy = v1.RestartPolicyNever
				p.Spec.InitContainers = []v1.Container{init}
			})
			r.engine.exit("k8s_init_web_ns_uid-web_0", 42)
			r.after(time.Minute)
			if got, phase := r.state("web", "init"), r.get("web").Status.Phase; got != "running 1" || phase != v1.PodPending {
				t.Errorf("%s: it is %q, its Pod %s: %q", what, got, phase, r.reasons("web"))
			}
			r.engine.exit("k8s_init_web_ns_uid-web_1", 0)
			r.settle()
			r.wantState("web", "app", "running 0")
		})
	}
}
