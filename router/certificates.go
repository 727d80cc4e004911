package router

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/lru"
)

const (
	// maxIssued is how many certificates that were signed for hosts are kept. Who asks for more names has them signed anew.
	maxIssued = 1024
	// renewBefore is how long before its end a certificate is signed anew.
	renewBefore = 30 * 24 * time.Hour
)

// issuer has certificates signed for the hosts that bring none.
type issuer struct {
	sign func(host string) (*tls.Certificate, error)
	now  func() time.Time
	mu   sync.Mutex // so that many connections to a host that is new cost one signature
	kept *lru.Cache // of *tls.Certificate by host
}

func newIssuer(sign func(string) (*tls.Certificate, error)) *issuer {
	return &issuer{sign: sign, now: time.Now, kept: lru.New(maxIssued)}
}

// certificate returns the one for a host.
func (i *issuer) certificate(host string) (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if known, ok := i.kept.Get(host); ok {
		if c := known.(*tls.Certificate); i.now().Add(renewBefore).Before(c.Leaf.NotAfter) {
			return c, nil
		}
	}
	c, err := i.sign(host)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", host, err)
	}
	i.kept.Add(host, c)
	return c, nil
}

// getCertificate chooses by the name that a client asks for (RFC 6066, section 3): that of the host's Secret, or one of
// the instance's CA. A client that names none, because it has an address for a URL, gets one for the address.
func (r *Router) getCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := hostname(hello.ServerName)
	if host == "" {
		host, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
	}
	t := r.table.Load()
	if len(t.gateways) > 0 {
		if local, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String()); err == nil {
			if l := t.secure(local, *r.ports.Load(), hostname(hello.ServerName)); l != nil && len(l.certificates) > 0 {
				return l.choose(hello), nil
			}
		}
	}
	if c := t.certificate(host); c != nil {
		return c, nil
	}
	return r.issuer.certificate(host)
}

// secretCertificates parse what Secrets hold, once for each version of one.
type secretCertificates struct {
	secrets corelisters.SecretLister
	// parsed has what the last table needed, used what the one that is being made does, by "namespace/name".
	parsed, used map[string]parsedCertificate
}

type parsedCertificate struct {
	version     string
	certificate *tls.Certificate
	err         error
}

// get returns the certificate of a Secret. The error says what is wrong with it.
func (s *secretCertificates) get(namespace, name string) (*tls.Certificate, error) {
	key := namespace + "/" + name
	secret, err := s.secrets.Secrets(namespace).Get(name)
	if err != nil {
		return nil, fmt.Errorf("the Secret %s does not exist", key)
	}
	for _, kept := range []map[string]parsedCertificate{s.used, s.parsed} {
		if known, ok := kept[key]; ok && known.version == secret.ResourceVersion {
			s.used[key] = known
			return known.certificate, known.err
		}
	}
	parsed := parsedCertificate{version: secret.ResourceVersion}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err == nil {
		parsed.certificate = &pair
	} else {
		parsed.err = fmt.Errorf("the Secret %s holds no certificate with its key in %s and %s: %w", key, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	s.used[key] = parsed
	return parsed.certificate, parsed.err
}

// retain forgets the certificates, and so the keys, that the table does not need any more.
func (s *secretCertificates) retain() {
	s.parsed, s.used = s.used, map[string]parsedCertificate{}
}

// choose picks the certificate that is good for what the client asks for, else the first.
func (l *listener) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	for _, c := range l.certificates {
		if hello.SupportsCertificate(c) == nil {
			return c
		}
	}
	return l.certificates[0]
}
