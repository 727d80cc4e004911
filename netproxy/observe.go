package netproxy

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// observed is what the last pass found of one Service.
type observed struct {
	ports   []servicePort // as declared, those included whose ports of this machine somebody else has
	targets targets
}

// observe reads what is pending and notes in the description what is wanted now.
func (p *Proxy) observe() error {
	if p.pending.takeNodes() {
		if err := p.observeNodes(); err != nil {
			p.pending.addNodes()
			return err
		}
	}
	services, hosts := p.pending.take()
	for name := range services {
		if err := p.observeService(name); err != nil {
			p.putBack(services, hosts)
			return err
		}
	}
	if hosts {
		if err := p.observeHosts(); err != nil {
			p.putBack(services, hosts)
			return err
		}
	}
	before := maps.Clone(p.ports.taken)
	p.ports.reserve(p.claims.want)
	p.serve(p.withAffected(services, before))
	return nil
}

// withAffected adds the Services whose ports somebody else has now, or has no more.
func (p *Proxy) withAffected(services map[types.NamespacedName]bool, before map[nodePort]error) map[types.NamespacedName]bool {
	taken := p.ports.taken
	affected := func(n nodePort) bool { return (before[n] == nil) != (taken[n] == nil) }
	same := len(before) == len(taken)
	for n := range before {
		same = same && !affected(n)
	}
	if same {
		return services
	}
	more := map[types.NamespacedName]bool{}
	maps.Copy(more, services)
	for name, o := range p.observed {
		if slices.ContainsFunc(claimsOf(o.ports), affected) {
			more[name] = true
		}
	}
	return more
}

func (p *Proxy) putBack(services map[types.NamespacedName]bool, hosts bool) {
	for name := range services {
		p.pending.addService(name)
	}
	if hosts {
		p.pending.addHosts()
	}
}

// observeService reads one Service and its slices.
func (p *Proxy) observeService(name types.NamespacedName) error {
	svc, err := p.services.Services(name.Namespace).Get(name.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading Service %s: %w", name, err)
	}
	eps, sliceErr := p.slicesOf(name)
	if sliceErr != nil {
		return sliceErr
	}
	now := observed{targets: targetsOf(eps, nil)}
	if err == nil && svc != nil {
		now.ports = portsOf(svc, eps, p.nodes)
	}
	for _, r := range p.redirections.of(name) {
		r.redirect(now.ports)
	}
	old := p.observed[name]
	p.claims.replace(claimsOf(old.ports), claimsOf(now.ports))
	for _, s := range p.sides {
		s.flows.retarget(s.targets(old.targets), s.targets(now.targets))
	}
	p.health.observe(name, svc, eps, p.nodes)
	if now.ports == nil && len(now.targets) == 0 {
		delete(p.observed, name)
	} else {
		p.observed[name] = now
	}
	return nil
}

// slicesOf are the EndpointSlices of a Service.
func (p *Proxy) slicesOf(name types.NamespacedName) ([]*discoveryv1.EndpointSlice, error) {
	objects, err := p.slices.ByIndex(sliceIndex, name.String())
	if err != nil {
		return nil, fmt.Errorf("reading the EndpointSlices of Service %s: %w", name, err)
	}
	eps := make([]*discoveryv1.EndpointSlice, 0, len(objects))
	for _, o := range objects {
		eps = append(eps, o.(*discoveryv1.EndpointSlice))
	}
	return eps, nil
}

// observeHosts reads which Pods have ports of this machine.
func (p *Proxy) observeHosts() error {
	pods, err := p.pods.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing Pods: %w", err)
	}
	hosts := hostSnapshot(pods, p.nodes, p.families()...)
	p.claims.replace(hostClaims(p.hosts), hostClaims(hosts))
	p.hosts = hosts
	return nil
}

// serve notes what these Services and all hostPorts have of what they want, and what they cannot have.
func (p *Proxy) serve(services map[types.NamespacedName]bool) {
	found := map[trouble]func() string{}
	taken, features := p.ports.taken, p.features()
	for name := range services {
		ports := p.observed[name].ports
		maps.Copy(found, serviceTroubles(ports, taken, features))
		ports = withoutTaken(ports, taken)
		claims6 := p.loopbackClaims(name)
		for _, s := range p.sides {
			s.setService(name, s.ports(ports))
		}
		p.claims6.replace(claims6, p.loopbackClaims(name))
	}
	maps.Copy(found, hostTroubles(p.hosts, taken, features))
	hosts := withoutHostPorts(slices.Clone(p.hosts), taken)
	for _, s := range p.sides {
		s.setHosts(s.hosts(hosts))
	}
	p.loopback6.reserve(p.claims6.want)
	p.loopbackTroubles(services, found)
	p.troubles.tell(p.recorder, p.object, found, func(t trouble) bool { return t.kind == "Pod" || t.kind == "Service" && services[t.name] })
}

// setService notes what a Service has now of the family.
func (s *side) setService(name types.NamespacedName, ports []servicePort) {
	if old := s.desired.services[name]; s.desired.setService(name, ports, &s.changed) {
		s.flows.replacePorts(old, ports)
	}
}

// setHosts notes which ports of this machine lead to Pods.
func (s *side) setHosts(hosts []hostPort) {
	if old := s.desired.hosts; s.desired.setHosts(hosts, &s.changed) {
		s.flows.replaceHosts(old, hosts)
	}
}

// loopbackTroubles adds what is wrong with ports of [::1]. A machine may have no such address.
func (p *Proxy) loopbackTroubles(services map[types.NamespacedName]bool, found map[trouble]func() string) {
	for name := range services {
		for _, n := range p.loopbackClaims(name) {
			err := p.loopback6.taken[n]
			if err == nil || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
				continue
			}
			found[trouble{"Service", name, reasonLoopback6Unavailable, n.String()}] = func() string {
				return takenMessage("port", n, err, loopback4.String())
			}
		}
	}
}

// claims are the ports that somebody wants to be held, and how many want each.
type claims struct {
	want  map[nodePort]bool
	count map[nodePort]int
}

func newClaims() claims { return claims{map[nodePort]bool{}, map[nodePort]int{}} }

// replace notes that somebody wants other ports now.
func (c claims) replace(old, now []nodePort) {
	for _, n := range now {
		c.count[n]++
		c.want[n] = true
	}
	for _, n := range old {
		if c.count[n]--; c.count[n] == 0 {
			delete(c.count, n)
			delete(c.want, n)
		}
	}
}

// claimsOf are the ports of this machine that a Service has.
func claimsOf(ports []servicePort) (all []nodePort) {
	for i := range ports {
		if ports[i].NodePort != 0 {
			all = append(all, nodePort{protocol: ports[i].Protocol, port: ports[i].NodePort})
		}
		for _, ip := range ports[i].LoadBalancerIPs {
			if ip != loopback6 { // see loopbackClaims
				all = append(all, ports[i].balancedAt(ip))
			}
		}
	}
	return all
}

func hostClaims(hosts []hostPort) (all []nodePort) {
	for _, h := range hosts {
		if !h.OfNode { // the port is held at all addresses
			all = append(all, h.socket())
		}
	}
	return all
}

// loopbackClaims are the ports of [::1] that a Service has: they lead to its endpoints of IPv6 by the bridge's own address
// and by the ClusterIP, or else to where it is served at 127.0.0.1.
func (p *Proxy) loopbackClaims(name types.NamespacedName) (all []nodePort) {
	claimed := map[nodePort]bool{}
	for _, s := range slices.Backward(p.sides) { // IPv6 first
		for _, sp := range s.desired.services[name] {
			node, balanced := netip.AddrPortFrom(loopback4, sp.NodePort), netip.AddrPortFrom(loopback4, sp.Port)
			if s.family == ipv6 {
				node, balanced = netip.AddrPortFrom(p.gateway6, sp.NodePort), netip.AddrPortFrom(sp.ClusterIP, sp.Port)
			}
			claim := func(port uint16, to netip.AddrPort) {
				if at := (nodePort{protocol: sp.Protocol, port: port, addr: loopback6}); !claimed[at] {
					claimed[at] = true
					at.to = to
					all = append(all, at)
				}
			}
			if sp.NodePort != 0 {
				claim(sp.NodePort, node)
			}
			if slices.ContainsFunc(sp.LoadBalancerIPs, func(ip netip.Addr) bool { return ip == loopback4 || ip == loopback6 }) {
				claim(sp.Port, balanced)
			}
		}
	}
	return all
}
