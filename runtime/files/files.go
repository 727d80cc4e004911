package files

import (
	"net/netip"
	"time"

	"github.com/kube-lite/kube-lite/runtime/pods"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Config is what Files have to know of the node.
type Config struct {
	// Dirs has the Pods' directories.
	Dirs pods.Dirs
	// ClusterDomain is the suffix of Services' names.
	ClusterDomain string
	// DNSServer is written to the Pods' resolv.conf; the zero Addr leaves them with the host's name servers.
	DNSServer netip.Addr
	// Node is what Pods may ask about their node now.
	Node func() Node
	// Services are those that Pods find in their variables.
	Services corelisters.ServiceLister
	// References and Tokens are what Pods refer to.
	References *References
	Tokens     *Tokens
}

// Files makes what containers find in their Pod's directory and in their variables. Make it with New; many
// goroutines may use it at once, one for each Pod.
type Files struct {
	*References
	config Config
}

// New makes them.
func New(c Config) *Files { return &Files{References: c.References, config: c} }

// apiTimeout bounds one request to the API server.
const apiTimeout = 30 * time.Second
