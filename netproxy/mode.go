package netproxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

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

// Check tells which mode works on this machine: the one that is asked for, or nftables where the kernel and nft have what it
// takes, and iptables elsewhere, which the log says with the reason. What does not work is said in one sentence, with what to
// do. It needs root, and leaves nothing in the kernel.
func Check(ctx context.Context, mode Mode, log *slog.Logger) (Mode, error) {
	switch mode {
	case ModeNFTables:
		return mode, checkNFTables(ctx)
	case ModeDefault:
		// NetworkPolicies are chains of iptables in either mode, so that nftables alone is for those who ask for it.
		if _, err := findIPTables(); err != nil {
			return ModeIPTables, err
		}
		err := checkNFTables(ctx)
		if err == nil {
			return ModeNFTables, nil
		}
		log.Info("the rules of Services are made with iptables", "reason", err)
	}
	return ModeIPTables, checkIPTables(ctx)
}

// kernelTools are the machine's, as far as a mode needs them.
type kernelTools struct {
	iptables *iptablesTools      // nil where there are none, which only nftables can do without
	nft      knftables.Interface // nil with iptables
}

func findKernelTools(mode Mode, instance string) (*kernelTools, error) {
	var k kernelTools
	var err error
	if mode == ModeNFTables {
		if k.nft, err = findNFT(nftTable(instance)); err != nil {
			return nil, err
		}
	}
	k.iptables, err = findIPTables()
	if k.nft != nil && errors.Is(err, errNotFound) {
		return &k, nil
	}
	return &k, err
}

// findNFT is for one table.
func findNFT(table string) (knftables.Interface, error) {
	nft, err := knftables.New(knftables.IPv4Family, table, knftables.NoObjectCommentEmulation)
	if err != nil {
		return nil, fmt.Errorf("this machine cannot do --proxy-mode %s, which needs the package nftables, 1.0.1 or newer: %w", ModeNFTables, err)
	}
	return nft, nil
}

// backend is the mode's for one instance.
func (k *kernelTools) backend(instance, bridge string, log *slog.Logger) backend {
	var passes *applier
	if k.iptables != nil {
		passes = newApplier(k.iptables, instance, bridge, log)
	}
	if k.nft != nil {
		return newNftBackend(k.nft, instance, passes, log)
	}
	return &iptablesBackend{applier: passes, instance: instance}
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

// checkNFTables has nft and the kernel look at a table with a Service of every sort, which they do not keep.
func checkNFTables(ctx context.Context) error {
	nft, err := findNFT(fmt.Sprintf("kube-lite-try-%d", os.Getpid()))
	if err != nil {
		return err
	}
	b := newNftBackend(nft, "", nil, slog.Default())
	cidr := netip.MustParsePrefix("192.0.2.0/24") // for documentation, as all addresses here
	want := newDesired(settings{bridge: "kube-lite", serviceCIDR: cidr, nodePortAddresses: []netip.Prefix{cidr}})
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
