package orchestrator

import (
	"fmt"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// issue answers TokenRequests with a token that says what it is bound to.
func (f *fakeAPI) issue() {
	f.client.PrependReactor("create", "serviceaccounts", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "token" {
			return false, nil, nil
		}
		request := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenRequest).DeepCopy()
		request.Status.Token = "bound to " + request.Spec.BoundObjectRef.Kind + " " + request.Spec.BoundObjectRef.Name
		return true, request, nil
	})
}

func TestTokenSecretIsFilledAndGoesWithItsServiceAccount(t *testing.T) {
	f := newFakeAPI(t)
	f.issue()
	run(t, f)
	accounts, secrets := f.client.CoreV1().ServiceAccounts("shop"), f.client.CoreV1().Secrets("shop")
	account, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "robot"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]corev1.SecretType{"token": corev1.SecretTypeServiceAccountToken, "plain": corev1.SecretTypeOpaque} {
		if _, err := secrets.Create(t.Context(), &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: "robot"}},
			Type:       kind,
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"token": "bound to Secret token", "ca.crt": testRootCA, "namespace": "shop"}
	eventually(t, func() error {
		s, err := secrets.Get(t.Context(), "token", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for key, value := range want {
			if string(s.Data[key]) != value {
				return fmt.Errorf("%s is %q, want %q", key, s.Data[key], value)
			}
		}
		if uid := s.Annotations[corev1.ServiceAccountUIDKey]; uid != string(account.UID) {
			return fmt.Errorf("it is of the ServiceAccount %q, want %q", uid, account.UID)
		}
		return nil
	})
	if err := accounts.Delete(t.Context(), "robot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, err := secrets.Get(t.Context(), "token", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the Secret without ServiceAccount: %v, want NotFound", err)
		}
		return nil
	})
	if s, err := secrets.Get(t.Context(), "plain", metav1.GetOptions{}); err != nil || len(s.Data) != 0 {
		t.Errorf("a Secret of another type: %v, %v", s, err)
	}
}
