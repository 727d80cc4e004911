package orchestrator_test

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRolesAreAggregated(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	roles := c.client.RbacV1().ClusterRoles()
	_, err := roles.Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"example.com"}, Resources: []string{"widgets"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{})
	fatal(t, err)
	for _, name := range []string{"view", "edit", "admin"} {
		eventually(t, func() error {
			role, err := roles.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, r := range role.Rules {
				if r.Resources[0] == "widgets" {
					return nil
				}
			}
			return fmt.Errorf("%s does not include widgets: %v", name, role.Rules)
		})
	}
}

// The API server stores the default roles as the controller would make them.
func TestDefaultRolesAreNotAggregatedAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	marker, err := c.client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta:      metav1.ObjectMeta{Name: "zz-sum"},
		AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}},
	}, metav1.CreateOptions{})
	fatal(t, err)
	eventually(t, func() error { // then the controller has been at the others
		marker, err = c.client.RbacV1().ClusterRoles().Get(t.Context(), marker.Name, metav1.GetOptions{})
		if err == nil && len(marker.Rules) == 0 {
			err = fmt.Errorf("nothing is aggregated yet")
		}
		return err
	})
	for _, name := range []string{"view", "edit", "admin"} {
		role, err := c.client.RbacV1().ClusterRoles().Get(t.Context(), name, metav1.GetOptions{})
		fatal(t, err)
		for _, m := range role.ManagedFields {
			t.Errorf("%s was written by %s", name, m.Manager)
		}
	}
}
