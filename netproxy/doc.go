// Package netproxy makes Services and the host ports of Pods reachable, and enforces NetworkPolicies: it turns Services,
// EndpointSlices, Pods and NetworkPolicies into rules of the kernel, by iptables or by nftables.
//
// It owns the iptables chains that begin with ChainPrefix, one jump to them from each built-in chain that needs
// one, a table of nftables for each instance, the route of the service CIDR, the kernel settings that these rules need,
// and a socket for every NodePort, hostPort and port of a load balancer at an address of this machine.
// It never touches a rule that somebody else wrote, and it never carries a packet itself but for those to [::1]
// (loopback6.go): a daemon that is killed leaves rules that go on working until the next one replaces them.
//
// The way of a change:
//
//	informer event -> pending.go: the name of the Service that it is about
//	  -> [Proxy.Run] -> observe.go: reads these Services, by services.go: []servicePort, what is wanted and who answers
//	     and redirect.go: to whom else Redirect leads some of these for a while
//	     and hostports.go: []hostPort, which Pod has a port of this machine
//	     and policies.go, policypeers.go: policySet, what NetworkPolicies allow to whom
//	  -> desired.go: the one description of what is wanted, and what of it changed
//	  -> backend.go: either brings it to the kernel
//	     iptables: render.go, portrules.go: every chain of every table as text; depends on nothing else
//	       apply.go: only the chains that changed, in one iptables-restore transaction per table
//	     nftables: nftparts.go: the elements of maps and the few chains that one Service adds to a table (nfttable.go)
//	       nftbackend.go: only those that changed, in one transaction; nftrewrite.go: all, and what others broke;
//	         nftjoin.go: few commands for many elements
//	     policyrules.go: chains of iptables for policies, with either backend
//	  -> conntrack.go, connections.go: forget the flows that point at endpoints that are gone
//
// Below it, host.go keeps the route and the kernel settings, and nodeports.go the sockets. First comes what translates,
// then what refuses: whatever is addressed to the service CIDR and was not translated has nobody to go to, and what a policy
// forbids is dropped.
//
// Nothing is done to an event: it only names what to read. What the kernel holds is compared with what was applied
// whenever the kernel says that somebody changed the rules, and repaired. [Proxy.ReadBack] tells what it holds for one port.
//
// Call [Check] before the start for one clear sentence when the machine cannot do this, and [Cleanup] to remove
// all of it. See https://kubernetes.io/docs/reference/networking/virtual-ips/ for the behaviour that this follows.
package netproxy
