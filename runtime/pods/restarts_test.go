package pods_test

import (
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
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
		if got := pods.Restarts(pod, c, test.code); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}
