package orchestrator

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// wantIdentity waits until a namespace has what its Pods need.
func (f *fakeAPI) wantIdentity(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, func() error {
		_, err := f.client.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	m, err := f.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil || m.Data["ca.crt"] != testRootCA {
		t.Errorf("when the ServiceAccount is there the ConfigMap is %v, %v", m, err)
	}
}

func TestEveryNamespaceGetsAServiceAccountAndTheRootCA(t *testing.T) {
	f := start(t)
	if _, err := f.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.wantIdentity(t, "shop")
	if err := f.client.CoreV1().ServiceAccounts("shop").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.wantIdentity(t, "shop")
}

func TestRootCAIsRepaired(t *testing.T) {
	f := start(t)
	if _, err := f.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.wantIdentity(t, "shop")
	maps := f.client.CoreV1().ConfigMaps("shop")
	m, err := maps.Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Data["ca.crt"] = "somebody else's"
	if _, err := maps.Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	repaired := func() error {
		m, err := maps.Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		if err == nil && m.Data["ca.crt"] != testRootCA {
			err = fmt.Errorf("ca.crt is %q", m.Data["ca.crt"])
		}
		return err
	}
	eventually(t, repaired)
	if err := maps.Delete(t.Context(), "kube-root-ca.crt", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, repaired)
}
