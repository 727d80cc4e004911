// Package netproxy makes Services and the host ports of Pods reachable, and enforces NetworkPolicies: it turns Services,
// EndpointSlices, Pods and NetworkPolicies into iptables rules.
//
// It owns the iptables chains that begin with ChainPrefix, one jump to them from each built-in chain that needs
// one, the route of the service CIDR, the kernel settings that these rules need, and a socket for every
// NodePort, hostPort and port of a load balancer at an address of this machine.
// It never touches a rule that somebody else wrote, and it never carries a packet itself but for those to [::1]
// (loopback6.go): a daemon that is killed leaves rules that go on working until the next one replaces them.
//
// The way of a change:
//
//	informer event -> [Proxy.Run] -> services.go: []servicePort, what is wanted and who answers for it
//	  and hostports.go: []hostPort, which Pod has a port of this machine
//	  and policies.go, policypeers.go: policySet, what NetworkPolicies allow to whom
//	  -> render.go, portrules.go, policyrules.go: ruleset, every chain of every table as text; depends on nothing else
//	  -> apply.go: only the chains that changed, in one iptables-restore transaction per table
//	  -> conntrack.go, connections.go: forget the flows that point at endpoints that are gone
//
// Below it, host.go keeps the route and the kernel settings, and nodeports.go the sockets. nat translates, filter
// refuses: whatever is addressed to the service CIDR and was not translated has nobody to go to, and what a policy forbids
// is dropped.
//
// Nothing is done to an event: each pass reads the informers' current state. What the kernel holds is compared
// with what was applied whenever the kernel says that somebody changed the rules, and repaired.
//
// Call [Check] before the start for one clear sentence when the machine cannot do this, and [Cleanup] to remove
// all of it. See https://kubernetes.io/docs/reference/networking/virtual-ips/ for the behaviour that this follows.
package netproxy
