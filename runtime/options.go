package runtime

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/node"
	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

// The defaults of Options.
const (
	DefaultClusterDomain = "cluster.local"
	DefaultMaxPods       = 110 // a kubelet's
)

// Options say which node the agent is. Instance, NodeName, Root and Network are
// required.
type Options struct {
	// Instance is the name of the kube-lite instance; it labels every container.
	Instance string
	// NodeName is the name of the Node object: the machine's hostname in lower case.
	NodeName string
	// Added says that the instance began with another node. The agent of such a one labels its containers with the node's
	// name, has an address of its own on the Pods' bridge (HostIP), and does not register its Node: whoever added it did.
	Added bool
	// Sharing tells among how many nodes what the machine has is divided; nil: there is one.
	Sharing func() int
	// Root is the instance's directory. It holds pods/<uid>/…, for an added node nodes/<name>/pods/<uid>/…, and is made if missing.
	Root string
	// Version is the Node's DefaultVersion; default v1.36.3-kube-lite.
	Version string
	// ClusterDomain is the suffix of Services' names; default cluster.local.
	ClusterDomain string
	// DNSServer is written to the Pods' resolv.conf; the zero Addr leaves them with
	// the host's name servers.
	DNSServer netip.Addr
	// Network is the Docker network of the Pods: see docker.Engine.EnsureNetwork. Its Subnet is
	// shown in the Node's spec.
	Network docker.NetworkSpec
	// PodRange is the part of Network's Subnet that has the addresses of the node's Pods; default all of it.
	PodRange netip.Prefix
	// IPFamilies are those that Pods have addresses of, the primary one first; default IPv4. IPv6 takes a Network with it.
	IPFamilies []v1.IPFamily
	// HostIP is the Node's InternalIP and the Pods' hostIP. The zero Addr means the
	// machine's own, which is followed as networks come and go. Of IPv6 an added node has the address at the same place.
	HostIP netip.Addr
	// MaxPods is the Node's capacity of Pods; default 110.
	MaxPods int
	// PidsLimit is the most processes and threads of each container; 0, as on a kubelet,
	// leaves them without a limit of their own.
	PidsLimit int64
	// AllowedUnsafeSysctls are patterns such as net.core.somaxconn or kernel.msg* of the
	// kernel's parameters that Pods may set though it is not known that no other suffers
	// from it. See spec.CheckSysctls.
	AllowedUnsafeSysctls []string
	// Log receives what happens; nil is slog.Default().
	Log *slog.Logger
}

// complete checks what is required and fills in the defaults.
func (o Options) complete() (Options, error) {
	if o.Instance == "" || o.NodeName == "" || o.Root == "" || o.Network.Name == "" {
		return o, errors.New("runtime: Instance, NodeName, Root and Network are required")
	}
	if o.Added && !o.HostIP.IsValid() {
		return o, errors.New("runtime: an added node has a HostIP")
	}
	if o.ClusterDomain == "" {
		o.ClusterDomain = DefaultClusterDomain
	}
	if o.Version == "" {
		o.Version = node.DefaultVersion
	}
	if o.MaxPods == 0 {
		o.MaxPods = DefaultMaxPods
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if !o.PodRange.IsValid() {
		o.PodRange = o.Network.Subnet
	}
	if o.Sharing == nil {
		o.Sharing = func() int { return 1 }
	}
	if o.Added {
		o.Network.MoreAddresses = append(slices.Clone(o.Network.MoreAddresses), o.HostIP)
	}
	return o, nil
}

// owner is whose containers are the agent's.
func (o Options) owner() pods.Owner {
	owner := pods.Owner{Instance: o.Instance}
	if o.Added {
		owner.Node = o.NodeName
	}
	return owner
}
