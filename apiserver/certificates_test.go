package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

func TestACertificateIsVerifiedOnceAndOnlyWhileItIsValid(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	pki, err := openPKI(t.TempDir(), clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	clients := newClientCertificates(pki.ca.cert, clock)
	verifications, upstream := 0, clients.verify
	clients.verify = authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		verifications++
		return upstream.AuthenticateRequest(r)
	})
	ask := func(certificates ...*x509.Certificate) (string, error) {
		response, ok, err := clients.AuthenticateRequest(&http.Request{TLS: &tls.ConnectionState{PeerCertificates: certificates}})
		if !ok {
			return "", err
		}
		return response.User.GetName(), err
	}
	for range 3 {
		if name, err := ask(pki.admin.cert); name != adminUser || err != nil {
			t.Fatalf("the admin's certificate is %q's, %v", name, err)
		}
	}
	if verifications != 1 {
		t.Errorf("three requests with one certificate took %d verifications, want 1", verifications)
	}

	begun := now
	for what, at := range map[string]time.Time{
		"ended":     pki.admin.cert.NotAfter.Add(time.Second),
		"not begun": pki.admin.cert.NotBefore.Add(-time.Second),
	} {
		now = at
		if name, err := ask(pki.admin.cert); err == nil {
			t.Errorf("a certificate that was good and has %s is %q's, want an error", what, name)
		}
	}
	now = begun

	if name, err := ask(pki.server.cert); err == nil {
		t.Errorf("a server's certificate is taken for a client's, %q", name)
	}
	stranger, err := openPKI(t.TempDir(), clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what failed is not remembered as good
		if name, err := ask(stranger.admin.cert); err == nil {
			t.Errorf("a certificate of the same name by another CA is %q's, want an error", name)
		}
	}
	if name, err := ask(stranger.admin.cert, pki.admin.cert); err == nil {
		t.Errorf("a stranger with a copy of the admin's certificate is %q, want an error", name)
	}
	if name, err := ask(); name != "" || err != nil {
		t.Errorf("no certificate is %q's, %v", name, err)
	}
}
