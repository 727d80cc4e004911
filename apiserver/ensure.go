package apiserver

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/component-helpers/auth/rbac/reconciliation"
	"k8s.io/kubernetes/pkg/apis/rbac"
	clusterrolestore "k8s.io/kubernetes/pkg/registry/rbac/clusterrole/storage"
	clusterrolebindingstore "k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding/storage"
	rolestore "k8s.io/kubernetes/pkg/registry/rbac/role/storage"
	rolebindingstore "k8s.io/kubernetes/pkg/registry/rbac/rolebinding/storage"
)

// ensureWorkers is how many objects of the default policy are written at once: the store commits them in groups.
const ensureWorkers = 64

// ensurePolicy stores the default roles and bindings, and gives back to those that are there what they have lost, but for
// those with the annotation rbac.authorization.kubernetes.io/autoupdate: "false". It works on the registries: as requests
// the 150 objects would be half of what a first start costs.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#auto-reconciliation
func (s *Server) ensurePolicy(ctx context.Context) error {
	stores, err := newPolicyStores(ctx, builtinOptions(s.cfg.Store))
	if err != nil {
		return err
	}
	policy := newDefaultPolicy()
	var group errgroup.Group
	group.SetLimit(ensureWorkers)
	ensure := func(kind, namespace, name string, run func() error) {
		group.Go(func() error {
			if err := retry.RetryOnConflict(retry.DefaultBackoff, run); err != nil {
				return fmt.Errorf("bootstrap: %s %s/%s: %w", kind, namespace, name, err)
			}
			return nil
		})
	}
	clusterRoles := aggregated{stores.clusterRoles, aggregate(policy.clusterRoles)}
	for _, o := range policy.clusterRoles {
		ensure("ClusterRole", "", o.Name, runRole(reconciliation.ClusterRoleRuleOwner{ClusterRole: &o}, clusterRoles))
	}
	for _, o := range policy.clusterRoleBindings {
		ensure("ClusterRoleBinding", "", o.Name, runBinding(reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: &o}, stores.clusterRoleBindings))
	}
	for _, o := range policy.roles {
		ensure("Role", o.Namespace, o.Name, runRole(reconciliation.RoleRuleOwner{Role: &o}, stores.roles))
	}
	for _, o := range policy.roleBindings {
		ensure("RoleBinding", o.Namespace, o.Name, runBinding(reconciliation.RoleBindingAdapter{RoleBinding: &o}, stores.roleBindings))
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.interim.markStored()
	return nil
}

func runRole(role reconciliation.RuleOwner, in reconciliation.RuleOwnerModifier) func() error {
	return func() error {
		_, err := (&reconciliation.ReconcileRoleOptions{Role: role, Client: in, Confirm: true}).Run()
		return err
	}
}

func runBinding(binding reconciliation.RoleBinding, in reconciliation.RoleBindingModifier) func() error {
	return func() error {
		_, err := (&reconciliation.ReconcileRoleBindingOptions{RoleBinding: binding, Client: in, Confirm: true}).Run()
		return err
	}
}

// policyStores are the four kinds of RBAC without the checks of who may grant what.
type policyStores struct {
	clusterRoles, roles               reconciliation.RuleOwnerModifier
	clusterRoleBindings, roleBindings reconciliation.RoleBindingModifier
}

func newPolicyStores(ctx context.Context, options restOptions) (*policyStores, error) {
	clusterRoles, err := clusterrolestore.NewREST(options)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: compose clusterroles: %w", err)
	}
	clusterRoleBindings, err := clusterrolebindingstore.NewREST(options)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: compose clusterrolebindings: %w", err)
	}
	roles, err := rolestore.NewREST(options)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: compose roles: %w", err)
	}
	roleBindings, err := rolebindingstore.NewREST(options)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: compose rolebindings: %w", err)
	}
	return &policyStores{
		clusterRoles: modifier[reconciliation.RuleOwner, rbacv1.ClusterRole, rbac.ClusterRole]{ctx, clusterRoles.Store,
			func(o *rbacv1.ClusterRole) reconciliation.RuleOwner {
				return reconciliation.ClusterRoleRuleOwner{ClusterRole: o}
			}},
		roles: modifier[reconciliation.RuleOwner, rbacv1.Role, rbac.Role]{ctx, roles.Store,
			func(o *rbacv1.Role) reconciliation.RuleOwner { return reconciliation.RoleRuleOwner{Role: o} }},
		clusterRoleBindings: modifier[reconciliation.RoleBinding, rbacv1.ClusterRoleBinding, rbac.ClusterRoleBinding]{ctx, clusterRoleBindings.Store,
			func(o *rbacv1.ClusterRoleBinding) reconciliation.RoleBinding {
				return reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: o}
			}},
		roleBindings: modifier[reconciliation.RoleBinding, rbacv1.RoleBinding, rbac.RoleBinding]{ctx, roleBindings.Store,
			func(o *rbacv1.RoleBinding) reconciliation.RoleBinding {
				return reconciliation.RoleBindingAdapter{RoleBinding: o}
			}},
	}, nil
}
