package orchestrator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// request makes a CertificateSigningRequest, and returns the key that belongs to it as PEM.
func request(t *testing.T, c *cluster, name string, subject pkix.Name, spec certificatesv1.CertificateSigningRequestSpec) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	fatal(t, err)
	spec.Request = pem.EncodeToMemory(&pem.Block{Type: cert.CertificateRequestBlockType, Bytes: der})
	_, err = c.client.CertificatesV1().CertificateSigningRequests().Create(t.Context(), &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec,
	}, metav1.CreateOptions{})
	fatal(t, err)
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	fatal(t, err)
	return keyPEM
}

func TestAnApprovedRequestBecomesACertificateThatTheAPIKnows(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	key := request(t, c, "jane", pkix.Name{CommonName: "jane", Organization: []string{"developers"}}, certificatesv1.CertificateSigningRequestSpec{
		SignerName: certificatesv1.KubeAPIServerClientSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		ExpirationSeconds: new(int32(3600)),
	})
	requests := c.client.CertificatesV1().CertificateSigningRequests()
	asked, err := requests.Get(t.Context(), "jane", metav1.GetOptions{})
	fatal(t, err)
	asked.Status.Conditions = append(asked.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "KubectlApprove",
	})
	_, err = requests.UpdateApproval(t.Context(), "jane", asked, metav1.UpdateOptions{})
	fatal(t, err)
	var signed []byte
	eventually(t, func() error {
		asked, err := requests.Get(t.Context(), "jane", metav1.GetOptions{})
		if err == nil && len(asked.Status.Certificate) == 0 {
			err = errors.New("no certificate yet")
		}
		signed = asked.Status.Certificate
		return err
	})
	jane, err := kubernetes.NewForConfig(&rest.Config{Host: "https://" + c.addr, TLSClientConfig: rest.TLSClientConfig{
		CAData: c.pki.CACertificate(), CertData: signed, KeyData: key,
	}})
	fatal(t, err)
	who, err := jane.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	fatal(t, err)
	if u := who.Status.UserInfo; u.Username != "jane" || !slices.Contains(u.Groups, "developers") {
		t.Errorf("the certificate is %+v's, want jane's of developers", u)
	}
	parsed, err := cert.ParseCertsPEM(signed)
	fatal(t, err)
	if life := parsed[0].NotAfter.Sub(parsed[0].NotBefore); life > time.Hour+10*time.Minute {
		t.Errorf("the certificate is valid for %v, asked for an hour", life)
	}
}

func TestARequestThatItsSignerCannotServeFails(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	request(t, c, "odd", pkix.Name{CommonName: "odd"}, certificatesv1.CertificateSigningRequestSpec{
		SignerName: certificatesv1.KubeletServingSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth},
	})
	requests := c.client.CertificatesV1().CertificateSigningRequests()
	asked, err := requests.Get(t.Context(), "odd", metav1.GetOptions{})
	fatal(t, err)
	asked.Status.Conditions = append(asked.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "KubectlApprove",
	})
	_, err = requests.UpdateApproval(t.Context(), "odd", asked, metav1.UpdateOptions{})
	fatal(t, err)
	eventually(t, func() error {
		asked, err := requests.Get(t.Context(), "odd", metav1.GetOptions{})
		if err == nil && !slices.ContainsFunc(asked.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
			return c.Type == certificatesv1.CertificateFailed && c.Reason == "SignerValidationFailure"
		}) {
			err = errors.New("no condition Failed yet")
		}
		return err
	})
}
