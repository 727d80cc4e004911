package apiserver

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// withToken is a client that has nothing but a token.
func (s *testServer) withToken(t *testing.T, token string) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: "https://" + s.addr.String(), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: s.pki.CACertificate()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// account makes a ServiceAccount and a Pod of it, and returns a token bound to the Pod.
func account(t *testing.T, client kubernetes.Interface) (token string) {
	t.Helper()
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod, err := client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec:       corev1.PodSpec{ServiceAccountName: "robot", Containers: []corev1.Container{{Name: "c", Image: "x"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "p", UID: pod.UID},
	}}
	got, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "robot", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.Token
}

func TestTokenIsGoodWhileItsPodIsThere(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir)
	admin := s.admin(t)
	token := account(t, admin)
	me, err := s.whoAmI(t, token)
	if err != nil {
		t.Fatal(err)
	}
	if u := me.Status.UserInfo; u.Username != "system:serviceaccount:default:robot" || !slices.Contains(u.Groups, "system:serviceaccounts") ||
		!slices.Contains(u.Groups, "system:authenticated") || u.Extra["authentication.kubernetes.io/pod-name"][0] != "p" {
		t.Errorf("it is %+v", u)
	}
	s.stop()
	s = serve(t, dir)
	if _, err := s.whoAmI(t, token); err != nil {
		t.Errorf("after a restart of the server: %v", err)
	}
	if err := s.admin(t).CoreV1().Pods("default").Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.whoAmI(t, token); !apierrors.IsUnauthorized(err) {
		t.Errorf("the token of a Pod that is gone: %v, want Unauthorized", err)
	}
}

// whoAmI is what a client with the token is told of itself.
func (s *testServer) whoAmI(t *testing.T, token string) (*authenticationv1.SelfSubjectReview, error) {
	t.Helper()
	return s.withToken(t, token).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
}

func TestTokenIsNotGoodForASuccessorOfWhatItWasFor(t *testing.T) {
	for what, replace := range map[string]func(*testing.T, kubernetes.Interface) error{
		"ServiceAccount": func(t *testing.T, client kubernetes.Interface) error {
			accounts := client.CoreV1().ServiceAccounts("default")
			err := accounts.Delete(t.Context(), "robot", metav1.DeleteOptions{})
			if err == nil {
				_, err = accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{})
			}
			return err
		},
		"Pod": func(t *testing.T, client kubernetes.Interface) error {
			pods := client.CoreV1().Pods("default")
			pod, err := pods.Get(t.Context(), "p", metav1.GetOptions{})
			if err == nil {
				err = pods.Delete(t.Context(), "p", metav1.DeleteOptions{})
			}
			if err == nil {
				pod.UID, pod.ResourceVersion = "", ""
				_, err = pods.Create(t.Context(), pod, metav1.CreateOptions{})
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := serve(t, t.TempDir())
			admin := s.admin(t)
			token := account(t, admin)
			if _, err := s.whoAmI(t, token); err != nil {
				t.Fatal(err)
			}
			if err := replace(t, admin); err != nil {
				t.Fatal(err)
			}
			if _, err := s.whoAmI(t, token); !apierrors.IsUnauthorized(err) {
				t.Errorf("%v, want Unauthorized", err)
			}
		})
	}
}

func TestTokenForSomebodyElseIsNotGoodHere(t *testing.T) {
	s := serve(t, t.TempDir())
	admin := s.admin(t)
	account(t, admin)
	got, err := admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "robot",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.whoAmI(t, got.Status.Token); !apierrors.IsUnauthorized(err) {
		t.Errorf("%v, want Unauthorized", err)
	}
}

// A program that reads its token once is served for a year, as by a kube-apiserver, though
// the node agent renews the file within the hour.
func TestTokenOutlivesTheHourThatAPodAsksFor(t *testing.T) {
	s := serve(t, t.TempDir())
	admin := s.admin(t)
	account(t, admin)
	life := func(seconds int64, bound *authenticationv1.BoundObjectReference) (told, claimed time.Duration) {
		got, err := admin.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "robot",
			&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, BoundObjectRef: bound}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(got.Status.Token, ".")[1])
		var claims struct{ Exp int64 }
		if err != nil || json.Unmarshal(text, &claims) != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return time.Until(got.Status.ExpirationTimestamp.Time), time.Until(time.Unix(claims.Exp, 0))
	}
	pod := &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "p"}
	const hour = serviceaccount.WarnOnlyBoundTokenExpirationSeconds // what the admission plugin asks for
	if told, claimed := life(hour, pod); told > 2*time.Hour || claimed < 364*24*time.Hour {
		t.Errorf("a Pod's: it is to be renewed after %v and ends after %v", told, claimed)
	}
	if told, claimed := life(1000, pod); told > time.Hour || claimed > time.Hour {
		t.Errorf("one of a lifetime that somebody chose: it is to be renewed after %v and ends after %v", told, claimed)
	}
	if _, claimed := life(hour, nil); claimed > 2*time.Hour {
		t.Errorf("one that no Pod is needed for ends after %v", claimed)
	}
}

func TestTokenReviewTellsWhoseATokenIs(t *testing.T) {
	s := serve(t, t.TempDir())
	admin := s.admin(t)
	review := func(token string, audiences ...string) authenticationv1.TokenReviewStatus {
		got, err := admin.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Status
	}
	token := account(t, admin)
	if got := review(token); !got.Authenticated || got.User.Username != "system:serviceaccount:default:robot" {
		t.Errorf("a good token: %+v", got)
	}
	if got := review(token, "vault"); got.Authenticated {
		t.Errorf("a token for another audience: %+v", got)
	}
	if got := review(token[:len(token)-8] + "AAAAAAAA"); got.Authenticated {
		t.Errorf("a forged token: %+v", got)
	}
}

func TestPodGetsItsServiceAccount(t *testing.T) {
	s := serve(t, t.TempDir())
	admin := s.admin(t)
	account(t, admin)
	pod, err := admin.CoreV1().Pods("default").Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mounted := slices.ContainsFunc(pod.Spec.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.MountPath == "/var/run/secrets/kubernetes.io/serviceaccount"
	})
	if !mounted || len(pod.Spec.Volumes) != 1 || pod.Spec.Volumes[0].Projected == nil {
		t.Errorf("the Pod has volumes %v", pod.Spec.Volumes)
	}
}

func TestOthersCanVerifyTokens(t *testing.T) {
	client := serve(t, t.TempDir()).admin(t)
	text, err := client.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Issuer string }
	if err := json.Unmarshal(text, &document); err != nil || document.Issuer != tokenIssuer {
		t.Errorf("%s: %v", text, err)
	}
	text, err = client.Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	var keys struct{ Keys []any }
	if err != nil || json.Unmarshal(text, &keys) != nil || len(keys.Keys) != 1 {
		t.Errorf("%s: %v", text, err)
	}
}

func TestKeyOfTokensIsTheOwnersOnly(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenPKI(dir, nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, tokenKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Who shows a token wants to be known by it: a wrong one is not the same as none.
func TestWrongTokenIsRefusedWhereAnybodyMayAsk(t *testing.T) {
	s := serve(t, t.TempDir())
	for token, welcome := range map[string]bool{"": true, "wrong": false} {
		_, err := s.withToken(t, token).Discovery().RESTClient().Get().AbsPath("/version").DoRaw(t.Context())
		if welcome != (err == nil) || !welcome && !apierrors.IsUnauthorized(err) {
			t.Errorf("with the token %q: %v", token, err)
		}
	}
}
