package apiserver

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
)

// aggregated creates roles that are the sum of others with the rules that the controller would find for them: a binding
// to one of them grants from the first moment, and the controller has nothing to do.
type aggregated struct {
	reconciliation.RuleOwnerModifier
	rules map[string][]rbacv1.PolicyRule // by the role's name
}

// Create is reconciliation.RuleOwnerModifier's.
func (a aggregated) Create(role reconciliation.RuleOwner) (reconciliation.RuleOwner, error) {
	if rules, ok := a.rules[role.GetName()]; ok {
		role.SetRules(rules)
	}
	return a.RuleOwnerModifier.Create(role)
}

// aggregate returns the rules of those roles that are the sum of others, some of which may be sums too.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles
func aggregate(roles []rbacv1.ClusterRole) map[string][]rbacv1.PolicyRule {
	roles = slices.SortedFunc(slices.Values(roles), func(a, b rbacv1.ClusterRole) int { return cmp.Compare(a.Name, b.Name) })
	sums := map[string][]rbacv1.PolicyRule{}
	for changed := true; changed; {
		changed = false
		for i := range roles {
			rules, ok := sumOf(&roles[i], roles)
			if ok && !equality.Semantic.DeepEqual(rules, roles[i].Rules) {
				roles[i].Rules, sums[roles[i].Name], changed = rules, rules, true
			}
		}
	}
	return sums
}

// sumOf adds up the rules that role collects from roles, which are sorted by name as the controller sorts them.
func sumOf(role *rbacv1.ClusterRole, roles []rbacv1.ClusterRole) (rules []rbacv1.PolicyRule, ok bool) {
	if role.AggregationRule == nil {
		return nil, false
	}
	for _, s := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			return nil, false
		}
		for _, other := range roles {
			if other.Name == role.Name || !selector.Matches(labels.Set(other.Labels)) {
				continue
			}
			for _, r := range other.Rules {
				if !slices.ContainsFunc(rules, func(have rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(have, r) }) {
					rules = append(rules, r)
				}
			}
		}
	}
	return rules, true
}
