package orchestrator_test

import (
	"errors"
	"strings"
	"testing"

	arv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAPolicysExpressionsAreTypeChecked(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	policies := c.client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	_, err := policies.Create(t.Context(), &arv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "typo"},
		Spec: arv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &arv1.MatchResources{ResourceRules: []arv1.NamedRuleWithOperations{{RuleWithOperations: arv1.RuleWithOperations{
				Operations: []arv1.OperationType{arv1.Create},
				Rule:       arv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}}}},
			Validations: []arv1.Validation{{Expression: "object.spec.replicsa > 1"}},
		},
	}, metav1.CreateOptions{})
	fatal(t, err)
	eventually(t, func() error {
		policy, err := policies.Get(t.Context(), "typo", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if policy.Status.TypeChecking == nil || policy.Status.ObservedGeneration != policy.Generation {
			return errors.New("not checked yet")
		}
		warnings := policy.Status.TypeChecking.ExpressionWarnings
		if len(warnings) != 1 || !strings.Contains(warnings[0].Warning, "undefined field 'replicsa'") {
			return errors.New("no warning of the field that is not there")
		}
		return nil
	})
}
