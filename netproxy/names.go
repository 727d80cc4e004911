package netproxy

import (
	"crypto/sha256"
	"encoding/base32"
	"net/netip"
)

// Built-in chains hold at most one jump of ours, to a chain with their own name behind the prefix.
// The kernel allows 28 characters: 10 for "KUBE-LITE-", 6 for the instance, 12 for the rest.
const (
	chainServices  = "SERVICES"  // nat: by ClusterIP, then what is in EXTERNAL
	chainExternal  = "EXTERNAL"  // nat: by externalIP or load balancer's, then, for this machine's addresses, by NodePort
	chainNodePorts = "NODEPORTS" // nat
	chainHostPorts = "HOSTPORTS" // nat: to the Pods that have ports of this machine
	chainReject    = "REJECT"    // filter: what nobody answers for
	chainStrangers = "STRANGERS" // filter: what comes to the pods' range from elsewhere
)

// ChainPrefix is what the names of all iptables chains of an instance begin with, and of no other instance's.
// The instance's name is hashed, because it may be longer than a chain's name.
func ChainPrefix(instance string) string {
	return "KUBE-LITE-" + hash(instance)[:5] + "-"
}

// servicePortChain names a chain that belongs to one port of a Service: kind is SVC (balances over the endpoints),
// LCL (the same over the node's own endpoints), EXT (traffic from outside, on its way to one of these) or FW (to a load
// balancer that not everybody may reach, on its way to EXT).
func servicePortChain(prefix, kind string, sp *servicePort) string {
	return prefix + kind + "-" + hash(sp.String())[:8]
}

// endpointChain names the chain that sends to one endpoint for one port of a Service.
func endpointChain(prefix string, sp *servicePort, endpoint netip.AddrPort) string {
	return prefix + "SEP-" + hash(sp.String() + ">" + endpoint.String())[:8]
}

// nodeChain names the chain that balances over the endpoints on one node, which has the address, for one port of a Service.
func nodeChain(prefix string, sp *servicePort, address netip.Addr) string {
	return prefix + "NOD-" + hash(sp.String() + "@" + address.String())[:8]
}

// clientsChain names the chain that balances over the endpoints on one node for the Pods of that node.
func clientsChain(prefix string, sp *servicePort, node string) string {
	return prefix + "CLN-" + hash(sp.String() + "<" + node)[:8]
}

// hash has 5 bits a character: 8 of them keep 1,000 Services with 10 endpoints each apart (1 in 20,000).
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base32.StdEncoding.EncodeToString(sum[:5])
}
