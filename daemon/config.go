package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/netproxy"
	"github.com/kube-lite/kube-lite/runtime/spec"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// DefaultName is the instance that is meant when no --name is given.
	DefaultName = "default"
	// DefaultRoot holds one data directory per instance.
	DefaultRoot = "/var/lib/kube-lite"
	// DefaultAPIPort is kube-apiserver's own.
	DefaultAPIPort = 6443
	// maxName keeps the instance's name within the limits of container names,
	// chain names and labels with room for what is added to it.
	maxName = 32
)

// Default ranges; both move to the next free one when the host routes them.
var (
	defaultPodCIDR     = netip.MustParsePrefix("10.244.0.0/16")
	defaultServiceCIDR = netip.MustParsePrefix("10.96.0.0/16")
)

// clusterDomain is where the names of Services and Pods live.
const clusterDomain = "cluster.local"

// Config is what a user can say about an instance. The zero value of a field
// means its default.
type Config struct {
	// Name of the instance: a DNS label of at most 32 characters.
	Name string
	// DataDir holds all state; default DefaultRoot/Name.
	DataDir string
	// APIPort on 127.0.0.1 and the pod bridge. 0 means DefaultAPIPort, or the
	// next free port when that is taken.
	APIPort int
	// IPFamily is ipv4, the default, ipv6 or dual. Settled at the first start.
	IPFamily string
	// PodCIDRs and ServiceCIDRs are ranges of at least 16 addresses each, of which
	// ten are for pods. Settled at the first start.
	PodCIDRs, ServiceCIDRs Ranges
	// NodeName is the Node's; default the machine's, as a DNS name. Settled at the
	// first start.
	NodeName string
	// Nodes is how many nodes the instance has; 0: those that it has had, at first one.
	Nodes int
	// NodeLabels are put on Nodes at each start.
	NodeLabels []NodeLabel
	// NodePortAddresses opens NodePorts on these addresses to other machines.
	NodePortAddresses []netip.Prefix
	// HTTPPorts are where Ingresses are served, such as 80,443; HTTPPortsOff: nowhere; "": there, or the next pair that is
	// free, while there are Ingresses.
	HTTPPorts string
	// ProxyMode is the program that makes the rules of Services, nftables or iptables; default nftables where the kernel and
	// nft have it.
	ProxyMode string
	// PidsLimit is the most processes and threads of a container; 0: no limit.
	PidsLimit int64
	// AllowedUnsafeSysctls are patterns of more of the kernel's parameters that pods may
	// set than those that are safe for all.
	AllowedUnsafeSysctls []string
	// Audit records requests to the API; the zero value none.
	Audit apiserver.Audit
	// DNSHosts are files in the format of hosts(5) whose names pods find, beside those of /etc/hosts.
	DNSHosts []string
	// EncryptionConfig is a file with an EncryptionConfiguration for what the store holds; "" is the instance's own, which
	// encrypts Secrets.
	EncryptionConfig string
	// DockerHost is an address such as unix:///var/run/docker.sock; default
	// what the docker command would use. Settled at the first start.
	DockerHost string
	// Version of kube-lite, to be shown.
	Version string
	// Log receives what the daemon has to say; nil means slog.Default().
	Log *slog.Logger
	// Progress, if set, is told the steps of the start as they are done.
	Progress func(Step)

	root string // where the machine's own resolver has its files; tests have others than /
}

// WithDefaults fills in what is not said and checks the rest. The error names
// the flag to change.
func (c Config) WithDefaults() (Config, error) {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if msgs := validation.IsDNS1123Label(c.Name); len(msgs) > 0 || len(c.Name) > maxName {
		return c, fmt.Errorf("--name %q: use at most %d lower case letters, digits and dashes", c.Name, maxName)
	}
	if c.DataDir == "" {
		c.DataDir = filepath.Join(DefaultRoot, c.Name)
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return c, fmt.Errorf("--data-dir %s: %w", c.DataDir, err)
	}
	c.DataDir = dir
	if c.APIPort < 0 || c.APIPort > 65535 {
		return c, fmt.Errorf("--api-port %d: a port is a number from 1 to 65535", c.APIPort)
	}
	if c.NodeName != "" && len(validation.IsDNS1123Subdomain(c.NodeName))+len(validation.IsValidLabelValue(c.NodeName)) > 0 {
		return c, fmt.Errorf("--node-name %q: use at most %d lower case letters, digits, dashes and dots", c.NodeName, validation.LabelValueMaxLength)
	}
	if err := c.checkNodes(); err != nil {
		return c, err
	}
	if err := checkHTTPPorts(c.HTTPPorts); err != nil {
		return c, err
	}
	if _, err := netproxy.ParseMode(c.ProxyMode); err != nil {
		return c, fmt.Errorf("--proxy-mode %w", err)
	}
	if c.PidsLimit < 0 {
		return c, fmt.Errorf("--pids-limit %d: a container has at least one process", c.PidsLimit)
	}
	if err := spec.CheckSysctls(c.AllowedUnsafeSysctls); err != nil {
		return c, fmt.Errorf("--allowed-unsafe-sysctls: %w", err)
	}
	if c.Audit, err = c.Audit.WithDefaults(); err != nil {
		return c, err
	}
	if c.DNSHosts, err = existing(c.DNSHosts); err != nil {
		return c, fmt.Errorf("--dns-hosts: %w", err)
	}
	if c.EncryptionConfig != "" {
		if c.EncryptionConfig, err = filepath.Abs(c.EncryptionConfig); err != nil {
			return c, fmt.Errorf("--encryption-config: %w", err)
		}
	}
	if err := c.checkRanges(); err != nil {
		return c, err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Progress == nil {
		c.Progress = func(Step) {}
	}
	return c, nil
}

func (c Config) checkRanges() error {
	if err := errors.Join(checkFamily(c.IPFamily), c.PodCIDRs.check("--pod-cidr", c.IPFamily), c.ServiceCIDRs.check("--service-cidr", c.IPFamily)); err != nil {
		return err
	}
	for _, six := range []bool{false, true} {
		pods, services := *c.PodCIDRs.of(six), *c.ServiceCIDRs.of(six)
		if pods.IsValid() && services.IsValid() && pods.Overlaps(services) {
			return fmt.Errorf("--pod-cidr %s and --service-cidr %s overlap", pods, services)
		}
	}
	_, err := c.sixFirst()
	return err
}

// existing returns the absolute paths of files, or an error for one that is not there.
func existing(files []string) (paths []string, err error) {
	for _, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// ParseCIDR reads the value of a flag such as --pod-cidr.
func ParseCIDR(flag, text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
	if err != nil {
		return prefix, fmt.Errorf("%s %q: use a range such as %s", flag, text, defaultPodCIDR)
	}
	return prefix.Masked(), nil
}

// path is a file of the data directory.
func (c Config) path(name string) string { return filepath.Join(c.DataDir, name) }

// Names of the files in the data directory.
const (
	lockFile       = "lock"
	settingsFile   = "instance.json"
	storeFile      = "kube-lite.db"
	encryptionFile = "encryption.yaml"
	pkiDir         = "pki"
	kubeconfigFile = "kubeconfig"
	logFile        = "daemon.log"
	podsDir        = "pods"
	nodesDir       = "nodes" // of those that were added
	volumesDir     = "pv"    // of claims
)

// KubeconfigPath is the admin's kubeconfig of the instance.
func (c Config) KubeconfigPath() string { return c.path(kubeconfigFile) }

// VolumesPath is where the directories of claims are.
func (c Config) VolumesPath() string { return c.path(volumesDir) }

// LogPath is where a daemon in the background writes its log.
func (c Config) LogPath() string { return c.path(logFile) }
