package orchestrator

import (
	"context"

	validatingpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kubernetes/pkg/controller/validatingadmissionpolicystatus"
)

// policyLoops say in the status of a ValidatingAdmissionPolicy which of its expressions do not fit the kinds that it judges.
// https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
func policyLoops() []loop {
	return []loop{
		{"validatingadmissionpolicy-status-controller", 1, func(w *world) []trigger {
			return anyOf(w.informers.Admissionregistration().V1().ValidatingAdmissionPolicies())
		}, func(_ context.Context, w *world) (runner, error) {
			return validatingadmissionpolicystatus.NewController(w.informers.Admissionregistration().V1().ValidatingAdmissionPolicies(),
				w.client.AdmissionregistrationV1().ValidatingAdmissionPolicies(), &validatingpolicy.TypeChecker{
					SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: w.client.Discovery()}, RestMapper: w.mapper,
				})
		}},
	}
}
