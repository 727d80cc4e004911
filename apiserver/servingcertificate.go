package apiserver

import (
	"sync"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// servingCertificate is the server's certificate as upstream's listener follows it: new connections get the one that was
// set last. Upstream's own provider watches files, for which it has a work queue that wakes twice a second.
type servingCertificate struct {
	mu        sync.Mutex // guards what follows
	current   *pair
	listeners []dynamiccertificates.Listener
}

var _ dynamiccertificates.CertKeyContentProvider = &servingCertificate{}

// Name is CertKeyContentProvider's.
func (*servingCertificate) Name() string { return "server" }

// CurrentCertKeyContent is CertKeyContentProvider's.
func (c *servingCertificate) CurrentCertKeyContent() (cert, key []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.certPEM, c.current.keyPEM
}

// AddListener is CertKeyContentProvider's.
func (c *servingCertificate) AddListener(l dynamiccertificates.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, l)
}

// set has new connections get the certificate.
func (c *servingCertificate) set(to *pair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = to
	for _, l := range c.listeners {
		l.Enqueue()
	}
}
