package orchestrator_test

import (
	"errors"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAServiceCIDRBecomesReadyAndGoesWhenItIsUnused(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ranges := c.client.NetworkingV1().ServiceCIDRs()
	_, err := ranges.Create(t.Context(), &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "more"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.200.0.0/24"}},
	}, metav1.CreateOptions{})
	fatal(t, err)
	eventually(t, func() error {
		cidr, err := ranges.Get(t.Context(), "more", metav1.GetOptions{})
		if err == nil && (!meta.IsStatusConditionTrue(cidr.Status.Conditions, networkingv1.ServiceCIDRConditionReady) || len(cidr.Finalizers) == 0) {
			err = errors.New("not ready, or nothing protects it")
		}
		return err
	})
	fatal(t, ranges.Delete(t.Context(), "more", metav1.DeleteOptions{}))
	eventually(t, func() error {
		if _, err := ranges.Get(t.Context(), "more", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return errors.New("an unused range is still there")
		}
		return nil
	})
}
