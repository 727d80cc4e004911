package apiserver

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	// certificateLife is how long the certificates that the CA signs are valid.
	certificateLife = 365 * 24 * time.Hour
	// renewBefore is how long before their end they are signed anew: a laptop
	// may sleep for weeks.
	renewBefore = 60 * 24 * time.Hour
	// renewInterval is how often a running daemon looks at their end.
	renewInterval = 12 * time.Hour
	// clockSkew lets a client whose clock runs behind use a fresh certificate.
	clockSkew = 5 * time.Minute
)

// adminUser is in the admin certificate; its group may do everything, also
// when RBAC comes.
const (
	adminUser  = "kubernetes-admin"
	adminGroup = "system:masters"
)

// frontProxyName is the user as whom requests are passed on to servers of other API groups. kubeadm has the same.
const frontProxyName = "front-proxy-client"

// PKI is the instance's certificate authority and what it signed: the
// server's certificate and the admin's. It lives in a folder:
//
//	ca.crt ca.key          made once, at the first start
//	server.crt server.key  signed anew before it ends or when a name is missing
//	admin.crt admin.key    signed anew before it ends
//	service-account.key    made once, signs the tokens of ServiceAccounts
//	front-proxy-ca.crt front-proxy-ca.key          made once
//	front-proxy-client.crt front-proxy-client.key  signed by that anew before it ends
//	ingress-ca.crt ingress-ca.key                  made once, signs for the hosts of Ingresses
//
// By that of the front proxy, servers of other API groups know that a request's headers about its user are true. The CA of
// Ingresses is one of its own since users let their browsers trust it: whoever may sign certificates in the cluster must
// not be able to sign for the rest of the world.
//
// Keys have mode 0600.
type PKI struct {
	dir          string
	names        cert.AltNames
	now          func() time.Time
	ca           *pair
	server       *pair
	admin        *pair
	frontProxyCA *pair
	ingress      func() (*ingressCA, error) // opens it, once: a start does not wait for it
	tokens       crypto.Signer              // signs the tokens of ServiceAccounts
	serving      servingCertificate         // has server
	clientCA     dynamiccertificates.CAContentProvider
}

// pair is a certificate with its key, parsed and as PEM.
type pair struct {
	cert            *x509.Certificate
	key             crypto.Signer
	certPEM, keyPEM []byte
}

// OpenPKI reads the folder dir, and makes what is missing or about to end. The
// server's certificate is valid for the given addresses and names, and for
// every name of the Service default/kubernetes.
func OpenPKI(dir string, ips []net.IP, hosts ...string) (*PKI, error) {
	return openPKI(dir, time.Now, ips, hosts...)
}

func openPKI(dir string, now func() time.Time, ips []net.IP, hosts ...string) (*PKI, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	p := &PKI{dir: dir, now: now, names: cert.AltNames{
		IPs: append([]net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}, ips...),
		DNSNames: append([]string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc.cluster.local",
		}, hosts...),
	}}
	var err error
	if p.ca, err = p.authority("ca", "kube-lite-ca"); err != nil {
		return nil, fmt.Errorf("certificates: CA: %w", err)
	}
	if p.frontProxyCA, err = p.authority("front-proxy-ca", "front-proxy-ca"); err != nil {
		return nil, fmt.Errorf("certificates: CA of the front proxy: %w", err)
	}
	p.ingress = sync.OnceValues(p.openIngressCA)
	if p.tokens, err = loadTokenKey(dir); err != nil {
		return nil, fmt.Errorf("certificates: key of ServiceAccount tokens: %w", err)
	}
	if err := p.Renew(); err != nil {
		return nil, err
	}
	p.clientCA, err = dynamiccertificates.NewStaticCAContent("client-ca", p.ca.certPEM)
	if err != nil {
		return nil, fmt.Errorf("certificates: CA: %w", err)
	}
	return p, nil
}

// authority returns the stored CA, or a new one.
func (p *PKI) authority(name, commonName string) (*pair, error) {
	ca, err := p.load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return p.create(name, nil, cert.Config{CommonName: commonName})
	}
	return ca, err
}

// CACertificate is what clients know the server by, as PEM.
func (p *PKI) CACertificate() []byte { return p.ca.certPEM }

// CAFiles are the certificate and the key of the authority, as PEM.
func (p *PKI) CAFiles() (cert, key string) {
	return filepath.Join(p.dir, "ca.crt"), filepath.Join(p.dir, "ca.key")
}

// ingressCAName is that of the files of the authority for the hosts of Ingresses.
const ingressCAName = "ingress-ca"

// IngressCAFile is the certificate of the authority that signs for the hosts of Ingresses, as PEM, in the folder of a PKI.
func IngressCAFile(dir string) string { return filepath.Join(dir, ingressCAName+".crt") }

// ingressCA is the authority for the hosts of Ingresses.
type ingressCA struct {
	*pair
	leafKey crypto.Signer // of all certificates that it signs
}

func (p *PKI) openIngressCA() (*ingressCA, error) {
	authority, err := p.authority(ingressCAName, "kube-lite-ingress-ca")
	if err != nil {
		return nil, fmt.Errorf("certificates: CA of Ingresses: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificates: key of Ingresses: %w", err)
	}
	return &ingressCA{authority, key}, nil
}

// IngressCertificate signs a certificate for the host of an Ingress, or for an IP address. It is valid for a year.
func (p *PKI) IngressCertificate(host string) (*tls.Certificate, error) {
	config := cert.Config{CommonName: host, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(host); ip != nil {
		config.AltNames.IPs = []net.IP{ip}
	} else {
		config.AltNames.DNSNames = []string{host}
	}
	if len(host) > maxCommonName {
		config.CommonName = ""
	}
	authority, err := p.ingress()
	if err != nil {
		return nil, err
	}
	signed, err := p.sign(authority.pair, authority.leafKey, config)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{signed.Raw, authority.cert.Raw}, PrivateKey: authority.leafKey, Leaf: signed}, nil
}

// maxCommonName is the longest that a certificate takes (RFC 5280, ub-common-name).
const maxCommonName = 64

// frontProxyFiles are the certificate and the key by which servers of other API groups know this one.
func (p *PKI) frontProxyFiles() (cert, key string) {
	return filepath.Join(p.dir, frontProxyName+".crt"), filepath.Join(p.dir, frontProxyName+".key")
}

// Renew signs anew what is missing, about to end, or lacks a name. Servers
// that run take up the new certificate with the next connection.
func (p *PKI) Renew() error {
	server, err := p.ensure("server", p.ca, cert.Config{
		CommonName: "kube-apiserver",
		AltNames:   p.names,
		Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("certificates: server: %w", err)
	}
	p.server = server
	p.serving.set(server)
	admin, err := p.ensure("admin", p.ca, cert.Config{
		CommonName:   adminUser,
		Organization: []string{adminGroup},
		Usages:       []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("certificates: admin: %w", err)
	}
	p.admin = admin
	_, err = p.ensure(frontProxyName, p.frontProxyCA, cert.Config{
		CommonName: frontProxyName,
		Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("certificates: front proxy: %w", err)
	}
	return nil
}

// Run makes the CA of Ingresses if there is none, then renews the certificates while ctx lasts, and calls renewed after each
// time that the admin's certificate changed.
func (p *PKI) Run(ctx context.Context, renewed func() error) error {
	if _, err := p.ingress(); err != nil {
		return err
	}
	tick := time.NewTicker(renewInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		before := p.admin
		if err := p.Renew(); err != nil {
			return err
		}
		if p.admin != before {
			if err := renewed(); err != nil {
				return err
			}
		}
	}
}

// ensure returns the stored pair while it is good, or a new one that ca signs.
func (p *PKI) ensure(name string, ca *pair, config cert.Config) (*pair, error) {
	stored, err := p.load(name)
	if err == nil && p.good(stored, ca, config) {
		return stored, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return p.create(name, ca, config)
}

func (p *PKI) good(have, ca *pair, want cert.Config) bool {
	if p.now().Add(renewBefore).After(have.cert.NotAfter) || have.cert.CheckSignatureFrom(ca.cert) != nil {
		return false
	}
	for _, ip := range want.AltNames.IPs {
		if !slices.ContainsFunc(have.cert.IPAddresses, ip.Equal) {
			return false
		}
	}
	for _, name := range want.AltNames.DNSNames {
		if !slices.Contains(have.cert.DNSNames, name) {
			return false
		}
	}
	return true
}

func (p *PKI) load(name string) (*pair, error) {
	certPEM, err := os.ReadFile(filepath.Join(p.dir, name+".crt"))
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(filepath.Join(p.dir, name+".key"))
	if err != nil {
		return nil, err
	}
	certs, err := cert.ParseCertsPEM(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(p.dir, name+".crt"), err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(p.dir, name+".key"), err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: not a private key that signs", filepath.Join(p.dir, name+".key"))
	}
	return &pair{cert: certs[0], key: signer, certPEM: certPEM, keyPEM: keyPEM}, nil
}
