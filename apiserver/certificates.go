package apiserver

import (
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	requestx509 "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/utils/lru"
)

// maxKnownClients bounds how many certificates are remembered: those of the clients that are at work at the same time.
const maxKnownClients = 256

// clientCertificates is upstream's authenticator of client certificates, which verifies a certificate once and not for each
// request that comes with it: the signature is a quarter of the work of a small request. The outcome stays the same as long
// as none of the certificates has expired.
type clientCertificates struct {
	ca     *x509.Certificate
	verify authenticator.Request
	known  *lru.Cache // presented to verified
	now    func() time.Time
}

// presented identifies what a client presents: its certificate and those that lead to the CA.
type presented [sha256.Size]byte

// verified is the outcome for a certificate, within the time in which every certificate presented with it is valid.
type verified struct {
	response  *authenticator.Response
	from, end time.Time
}

// newClientCertificates trusts what the CA signed for clients.
func newClientCertificates(ca *x509.Certificate, now func() time.Time) *clientCertificates {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	options := func() (x509.VerifyOptions, bool) {
		return x509.VerifyOptions{Roots: roots, CurrentTime: now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true
	}
	return &clientCertificates{
		ca:     ca,
		verify: requestx509.NewDynamic(options, requestx509.CommonNameUserConversion),
		known:  lru.New(maxKnownClients),
		now:    now,
	}
}

// AuthenticateRequest is authenticator.Request's.
func (c *clientCertificates) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	key, now := identify(r.TLS.PeerCertificates), c.now()
	if known, ok := c.known.Get(key); ok {
		if v := known.(verified); !now.Before(v.from) && !now.After(v.end) {
			return v.response, true, nil
		}
	}
	response, ok, err := c.verify.AuthenticateRequest(r)
	if ok && err == nil {
		from, end := validity(c.ca, r.TLS.PeerCertificates)
		c.known.Add(key, verified{response, from, end})
	}
	return response, ok, err
}

func identify(certificates []*x509.Certificate) (p presented) {
	hash := sha256.New()
	for _, c := range certificates {
		hash.Write(c.Raw)
	}
	hash.Sum(p[:0])
	return p
}

// validity is the time in which all of the certificates are valid.
func validity(ca *x509.Certificate, presented []*x509.Certificate) (from, end time.Time) {
	from, end = ca.NotBefore, ca.NotAfter
	for _, c := range presented {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return from, end
}
