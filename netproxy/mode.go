package netproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/knftables"
)

// Mode is what the rules are made with.
type Mode string

// The modes, by the names of kube-proxy's. See https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-modes
const (
	ModeIPTables Mode = "iptables"
	ModeNFTables Mode = "nftables"
	// ModeDefault leaves the choice to Check.
	ModeDefault Mode = ""
)

// ParseMode takes what a user wrote.
func ParseMode(text string) (Mode, error) {
	switch m := Mode(text); m {
	case ModeDefault, ModeIPTables, ModeNFTables:
		return m, nil
	}
	return ModeDefault, fmt.Errorf("%q: want %s or %s", text, ModeIPTables, ModeNFTables)
}

// Kernel is what this machine makes an instance's rules with. Find finds it.
type Kernel struct {
	mode  Mode
	tools map[family]*kernelTools
}

// Find tells which mode works on this machine: the one that is asked for, or nftables where the kernel and nft have what it
// takes, and iptables elsewhere, which the log says with the reason. What does not work is said in one sentence, with what to
// do. IPv6 is looked at where it is wanted. It needs root, and leaves nothing in the kernel.
func Find(ctx context.Context, instance string, mode Mode, wantsIPv6 bool, log *slog.Logger) (*Kernel, error) {
	families := []family{ipv4}
	if wantsIPv6 {
		families = append(families, ipv6)
		if disabled := read("/proc/sys/net/ipv6/conf/all/disable_ipv6"); disabled != "0" {
			return nil, errors.New("this machine has no IPv6: switch it on (sysctl net.ipv6.conf.all.disable_ipv6=0), or start with --ip-family ipv4")
		}
	}
	if mode != ModeDefault {
		return findKernel(ctx, instance, mode, families)
	}
	k, err := findKernel(ctx, instance, ModeNFTables, families)
	// NetworkPolicies are chains of iptables in either mode, so that nftables alone is for those who ask for it.
	if err == nil && k.tools[ipv4].iptables == nil {
		return nil, errNotFound
	}
	if err == nil {
		return k, nil
	}
	log.Info("the rules of Services are made with iptables", "reason", err)
	return findKernel(ctx, instance, ModeIPTables, families)
}

// Installed says whether the package is missing that the mode needs, without running anything of it.
func Installed(mode Mode) error {
	if _, err := findProgram(ipv4.iptables()); err != nil && mode != ModeNFTables {
		return errNotFound
	}
	return nil
}

// findKernel finds the programs of a mode, and has them and the kernel look at rules of every sort.
func findKernel(ctx context.Context, instance string, mode Mode, families []family) (*Kernel, error) {
	k := &Kernel{mode: mode, tools: map[family]*kernelTools{}}
	for _, f := range families {
		tools, err := findKernelTools(mode, f, instance)
		if err == nil {
			err = tools.check(ctx)
		}
		if err != nil {
			return nil, err
		}
		k.tools[f] = tools
	}
	return k, nil
}

// kernelTools are the machine's, as far as a mode needs them.
type kernelTools struct {
	family   family
	iptables *iptablesTools      // nil where there are none, which only nftables can do without
	nft      knftables.Interface // nil with iptables
}

func findKernelTools(mode Mode, f family, instance string) (*kernelTools, error) {
	k := kernelTools{family: f}
	var err error
	if mode == ModeNFTables {
		if k.nft, err = findNFT(f, nftTable(instance)); err != nil {
			return nil, err
		}
	}
	k.iptables, err = findIPTables(f)
	if k.nft != nil && errors.Is(err, errNotFound) {
		return &k, nil
	}
	return &k, err
}

// findNFT is for one table.
func findNFT(f family, table string) (knftables.Interface, error) {
	nft, err := knftables.New(f.nftables(), table, knftables.NoObjectCommentEmulation)
	if err != nil {
		return nil, fmt.Errorf("this machine cannot do --proxy-mode %s, which needs the package nftables, 1.0.1 or newer: %w", ModeNFTables, err)
	}
	path, err := exec.LookPath("nft") // as knftables does
	return joiningNft{nft, path}, err
}

// backend is the mode's for one instance.
func (k *kernelTools) backend(instance, bridge string, log *slog.Logger) backend {
	var passes *applier
	if k.iptables != nil {
		passes = newApplier(k.iptables, instance, bridge, log)
	}
	if k.nft != nil {
		return newNftBackend(k.nft, k.family, instance, passes, log)
	}
	return &iptablesBackend{applier: passes, family: k.family, instance: instance}
}

// untold tells whether the kernel counts no changes of our rules and does not tell about them.
func (k *kernelTools) untold() bool { return k.iptables != nil && k.iptables.legacy }

// probe finds out what the rules may use.
func (k *kernelTools) probe(ctx context.Context) features {
	if k.nft != nil {
		return features{randomFully: true, recent: true, sctp: true}
	}
	return k.iptables.probe(ctx)
}

// check has the programs and the kernel look at rules of every sort, which they do not keep.
func (k *kernelTools) check(ctx context.Context) error {
	if k.nft != nil {
		return checkNFTables(ctx, k.nft, k.family)
	}
	return k.iptables.check(ctx)
}

// checkNFTables is check with a Service of every sort in the table.
func checkNFTables(ctx context.Context, nft knftables.Interface, f family) error {
	b := newNftBackend(nft, f, "", nil, slog.Default())
	cidr := netip.MustParsePrefix(f.choose("192.0.2.0/24", "2001:db8::/64")) // for documentation, as all addresses here
	want := newDesired(settings{family: f, podCIDR: cidr, bridge: "kube-lite", serviceCIDR: cidr, nodePortAddresses: []netip.Prefix{cidr}})
	ip := cidr.Addr().Next()
	plain := servicePort{Protocol: corev1.ProtocolTCP, ClusterIP: ip, Port: 1, NodePort: 1, LoadBalancerIPs: []netip.Addr{ip},
		SourceRanges: []netip.Prefix{cidr}, Internal: []netip.AddrPort{netip.AddrPortFrom(ip, 1)}}
	plain.External = plain.Internal
	sticky := plain
	sticky.Port, sticky.NodePort, sticky.AffinitySeconds = 2, 2, 1
	want.services[types.NamespacedName{}] = []servicePort{plain, sticky}
	tx := nft.NewTransaction()
	if err := b.rewrite(ctx, tx, want); err != nil {
		return err
	}
	if err := nft.Check(ctx, tx); err != nil {
		return fmt.Errorf("this machine cannot do --proxy-mode %s: its nft or its kernel refuses the rules of Services: %w", ModeNFTables, err)
	}
	return nil
}
