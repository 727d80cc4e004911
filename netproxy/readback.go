package netproxy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/knftables"
)

// Lead is what the kernel was read to have for a port of a ClusterIP.
type Lead struct {
	// Leads tells whether new connections are led to endpoints.
	Leads bool
	// Seen is the rule, or what is missing.
	Seen string
}

// ReadBack reads from the kernel what leads connections by TCP to a ClusterIP's port to its endpoints. It asks the kernel alone, and
// not what was written: others may have changed it since. It may be called at any time.
func (p *Proxy) ReadBack(ctx context.Context, at netip.AddrPort) (Lead, error) {
	for _, s := range p.sides {
		if !s.has(at.Addr()) {
			continue
		}
		lead, err := s.tools.readBack(ctx, s.desired.settings.prefix, at)
		if err != nil {
			return Lead{}, fmt.Errorf("netproxy: reading what leads %s: %w", at, err)
		}
		return lead, nil
	}
	return Lead{}, fmt.Errorf("netproxy: %s is not of the instance's IP families", at)
}

func (k *kernelTools) readBack(ctx context.Context, prefix string, at netip.AddrPort) (Lead, error) {
	if k.nft != nil {
		return nftReadBack(ctx, k.nft, at)
	}
	saved, err := k.iptables.save(ctx, "nat")
	return iptablesReadBack(string(saved), prefix, at), err
}

// nftReadBack finds the element of the map, and rules in every chain on the way to it and behind it.
func nftReadBack(ctx context.Context, nft knftables.Interface, at netip.AddrPort) (Lead, error) {
	elements, err := nft.ListElements(ctx, "map", nftClusterIPs)
	if knftables.IsNotFound(err) {
		return Lead{Seen: "nftables has no map " + nftClusterIPs + " of this instance"}, nil
	}
	if err != nil {
		return Lead{}, err
	}
	key := addressPort(at.Addr(), &servicePort{Protocol: corev1.ProtocolTCP, Port: at.Port()})
	n := slices.IndexFunc(elements, func(el *knftables.Element) bool { return strings.Join(el.Key, " . ") == key })
	if n < 0 {
		return Lead{Seen: "the map " + nftClusterIPs + " of nftables has no element " + key}, nil
	}
	rules, err := nft.ListRules(ctx, "")
	if err != nil {
		return Lead{}, err
	}
	verdict := strings.Join(elements[n].Value, " . ")
	for _, chain := range []string{"nat-prerouting", "nat-output", nftServices, strings.TrimPrefix(verdict, "goto ")} {
		if !slices.ContainsFunc(rules, func(r *knftables.Rule) bool { return r.Chain == chain }) {
			return Lead{Seen: "the chain " + chain + " of nftables has no rules"}, nil
		}
	}
	return Lead{true, "element of the map " + nftClusterIPs + " of nftables: " + key + " : " + verdict}, nil
}

// iptablesReadBack finds the rule in what iptables-save printed of the table nat, the jumps on the way to it, and rules in the chain that it
// leads to.
func iptablesReadBack(saved, prefix string, at netip.AddrPort) Lead {
	target, seen := "", ""
	filled := map[string]bool{} // chains with a rule
	for line := range strings.Lines(saved) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "-A" {
			continue
		}
		filled[fields[1]] = true
		if j := jumpOf(fields, at); strings.HasPrefix(j, prefix+"SVC-") {
			target, seen = j, strings.TrimSpace(line)
		}
		if to := prefix + fields[1]; len(fields) == 4 && fields[3] == to {
			filled["jump to "+to] = true
		}
	}
	for _, chain := range []string{"PREROUTING", "OUTPUT"} {
		if !filled["jump to "+prefix+chain] {
			return Lead{Seen: "iptables has no jump from " + chain + " of the table nat to " + prefix + chain}
		}
	}
	if target == "" {
		return Lead{Seen: "the table nat of iptables has no rule for " + at.String()}
	}
	if !filled[target] {
		return Lead{Seen: "the chain " + target + " of iptables has no rules"}
	}
	return Lead{true, "rule of iptables: " + seen}
}

// jumpOf is where a rule leads what goes to the port of the address; "" if it is not one that matches it.
func jumpOf(fields []string, at netip.AddrPort) string {
	value := func(flag string) string {
		if n := slices.Index(fields, flag); n >= 0 && n+1 < len(fields) {
			return fields[n+1]
		}
		return ""
	}
	if value("-d") != one(at.Addr()) || value("-p") != "tcp" || value("--dport") != strconv.Itoa(int(at.Port())) {
		return ""
	}
	return value("-j")
}
