package apiserver

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func TestCertificatesAreKeptUntilTheyAreAboutToEnd(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	gateway := net.IPv4(10, 244, 0, 1)
	open := func(ips ...net.IP) *PKI {
		t.Helper()
		p, err := openPKI(dir, clock, ips)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := open(gateway)
	if again := open(gateway); !bytes.Equal(first.admin.certPEM, again.admin.certPEM) ||
		!first.server.cert.Equal(again.server.cert) {
		t.Error("a second start signed new certificates, want those of the first")
	}

	now = now.Add(certificateLife - renewBefore + time.Hour)
	renewed := open(gateway)
	if bytes.Equal(first.admin.certPEM, renewed.admin.certPEM) || first.server.cert.Equal(renewed.server.cert) {
		t.Error("certificates that are about to end were kept")
	}
	if !bytes.Equal(first.ca.certPEM, renewed.ca.certPEM) {
		t.Error("the CA changed: every kubeconfig in use is now worthless")
	}
	roots := x509.NewCertPool()
	roots.AddCert(first.ca.cert)
	_, err := renewed.server.cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "10.244.0.1", CurrentTime: now})
	if err != nil {
		t.Errorf("the renewed certificate: %v", err)
	}

	other := net.IPv4(10, 245, 0, 1)
	if err := open(other).server.cert.VerifyHostname("10.245.0.1"); err != nil {
		t.Errorf("after the gateway changed: %v", err)
	}
}

func TestSecretsAreTheOwnersOnly(t *testing.T) {
	dir := t.TempDir()
	p, err := OpenPKI(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := p.WriteKubeconfig(kubeconfig, "default", netip.MustParseAddrPort("127.0.0.1:6443")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{kubeconfig, filepath.Join(dir, "ca.key"), filepath.Join(dir, "admin.key"), filepath.Join(dir, "server.key")} {
		stat, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if stat.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", path, stat.Mode().Perm())
		}
	}
}

func TestAGarbledKeyIsAnErrorThatNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenPKI(dir, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ca.key")
	if err := os.WriteFile(path, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenPKI(dir, nil); err == nil || !bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("got %v, want an error that names %s", err, path)
	}
}

func TestTheKubeconfigKeepsWhatTheUserSet(t *testing.T) {
	p, err := OpenPKI(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write := func(addr string) *clientcmdapi.Config {
		t.Helper()
		if err := p.WriteKubeconfig(path, "default", netip.MustParseAddrPort(addr)); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	config := write("127.0.0.1:6443")
	config.Contexts["kube-lite"].Namespace = "team"
	config.Contexts["prod"] = &clientcmdapi.Context{Cluster: "prod"}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	config = write("127.0.0.1:6444")
	if got := config.Contexts["kube-lite"].Namespace; got != "team" {
		t.Errorf("the namespace is %q, want team", got)
	}
	if config.Contexts["prod"] == nil {
		t.Error("the user's other context is gone")
	}
	if got := config.Clusters["kube-lite"].Server; got != "https://127.0.0.1:6444" {
		t.Errorf("the server is %s, want the new port", got)
	}
}

func TestNewConnectionsGetTheRenewedCertificate(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	roots := x509.NewCertPool()
	roots.AddCert(s.pki.ca.cert)
	const name = "laptop.example.com"
	dial := func() error {
		c, err := tls.Dial("tcp", s.addr.String(), &tls.Config{RootCAs: roots, ServerName: name})
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := dial(); err == nil {
		t.Fatalf("the certificate is valid for %s before it was renewed", name)
	}
	s.pki.names.DNSNames = append(s.pki.names.DNSNames, name)
	if err := s.pki.Renew(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the renewed certificate is served", func() bool { return dial() == nil })
}

func TestHostsOfIngressesAreSignedByAnAuthorityOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	var authority []byte
	for _, host := range []string{"web.localhost", "127.0.0.1", strings.Repeat("a", 60) + ".localhost"} {
		pki, err := OpenPKI(dir, nil) // a restart keeps it
		if err != nil {
			t.Fatal(err)
		}
		made, err := pki.IngressCertificate(host)
		if err != nil {
			t.Fatal(err)
		}
		pem, err := os.ReadFile(IngressCAFile(dir))
		if err != nil {
			t.Fatal(err)
		}
		if authority == nil {
			authority = pem
		}
		roots, cluster := x509.NewCertPool(), x509.NewCertPool()
		roots.AppendCertsFromPEM(authority)
		cluster.AppendCertsFromPEM(pki.CACertificate())
		if _, err := made.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if _, err := made.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: cluster}); err == nil {
			t.Errorf("the cluster's authority stands for %s", host)
		}
	}
}
