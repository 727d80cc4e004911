package apiserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// create makes a key and a certificate for it, signed by ca (nil: by itself,
// as a CA for ten years), and writes both.
func (p *PKI) create(name string, ca *pair, config cert.Config) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, err
	}
	var signed *x509.Certificate
	if ca == nil {
		config.NotBefore = p.now().Add(-clockSkew)
		signed, err = cert.NewSelfSignedCACert(config, key)
	} else {
		signed, err = p.sign(ca, key, config)
	}
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", name, err)
	}
	made := &pair{
		cert: signed, key: key, keyPEM: keyPEM,
		certPEM: pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: signed.Raw}),
	}
	// The key first: a certificate without its key would be found and used.
	for _, file := range []struct {
		name string
		data []byte
	}{{name + ".key", made.keyPEM}, {name + ".crt", made.certPEM}} {
		if err := writeSecret(filepath.Join(p.dir, file.name), file.data); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func (p *PKI) sign(ca *pair, key crypto.Signer, config cert.Config) (*x509.Certificate, error) {
	// RFC 5280, 4.1.2.2: a positive serial number of at most 20 octets.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:      pkix.Name{CommonName: config.CommonName, Organization: config.Organization},
		DNSNames:     config.AltNames.DNSNames,
		IPAddresses:  config.AltNames.IPs,
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		NotBefore:    p.now().Add(-clockSkew),
		NotAfter:     p.now().Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  config.Usages,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// writeSecret replaces the file at once and for its owner only: a reader finds
// the old text or the new, never half of it.
func writeSecret(path string, data []byte) error {
	next, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = next.Write(data)
	if e := next.Sync(); err == nil {
		err = e
	}
	if e := next.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		_ = os.Remove(next.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
