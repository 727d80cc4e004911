package runtime

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
)

func TestRulesAndPolicyOfAContainerComeBeforeThePods(t *testing.T) {
	never, onFailure := v1.ContainerRestartPolicy("Never"), v1.ContainerRestartPolicy("OnFailure")
	rule := func(op v1.ContainerRestartRuleOnExitCodesOperator, codes ...int32) []v1.ContainerRestartRule {
		return []v1.ContainerRestartRule{{
			Action: v1.ContainerRestartRuleActionRestart, ExitCodes: &v1.ContainerRestartRuleOnExitCodes{Operator: op, Values: codes},
		}}
	}
	for _, test := range []struct {
		name  string
		pod   v1.RestartPolicy
		own   *v1.ContainerRestartPolicy
		rules []v1.ContainerRestartRule
		code  int
		want  bool
	}{
		{"the pod's policy", v1.RestartPolicyAlways, nil, nil, 0, true},
		{"the pod's policy on success", v1.RestartPolicyOnFailure, nil, nil, 0, false},
		{"the container's policy", v1.RestartPolicyAlways, &never, nil, 1, false},
		{"the container's policy on failure", v1.RestartPolicyNever, &onFailure, nil, 1, true},
		{"a rule for the code", v1.RestartPolicyNever, &never, rule(v1.ContainerRestartRuleOnExitCodesOpIn, 42), 42, true},
		{"a rule for another code", v1.RestartPolicyNever, &never, rule(v1.ContainerRestartRuleOnExitCodesOpIn, 42), 1, false},
		{"a rule for all but", v1.RestartPolicyNever, &never, rule(v1.ContainerRestartRuleOnExitCodesOpNotIn, 42), 1, true},
	} {
		pod := &v1.Pod{Spec: v1.PodSpec{RestartPolicy: test.pod}}
		c := &v1.Container{RestartPolicy: test.own, RestartPolicyRules: test.rules}
		if got := restarts(pod, c, test.code); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}

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
