package why

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// way is what a node of kube-lite has seen of the way to a Service, when it was asked.
type way struct {
	DNS struct {
		Server string       `json:"server"`
		Name   string       `json:"name"`
		Want   []netip.Addr `json:"want"`
		Answer []netip.Addr `json:"answer"`
		Error  string       `json:"error"`
	} `json:"dns"`
	Ports []wayPort `json:"ports"`
}

type wayPort struct {
	Port  int32     `json:"port"`
	Rules []wayRule `json:"rules"`
	Hops  []hop     `json:"hops"`
}

// wayRule is what the kernel was read to have for a port of a ClusterIP.
type wayRule struct {
	Address string `json:"address"`
	Leads   bool   `json:"leads"`
	Seen    string `json:"seen"`
	Error   string `json:"error"`
}

// hop is an address that the node has connected to.
type hop struct {
	Kind    string `json:"kind"`
	Address string `json:"address"`
	Pod     string `json:"pod"`
	Error   string `json:"error"` // empty: there was a connection
}

// The kinds of hops.
const (
	hopEndpoint     = "endpoint"
	hopClusterIP    = "clusterIP"
	hopNodePort     = "nodePort"
	hopLoadBalancer = "loadBalancer"
)

// reached follows the way to a Service from its node. It returns the first hop that does not answer; without one it returns false, and
// what was seen.
func (l *look) reached(s *v1.Service, node string) (found Link, lost bool, seen []string) {
	var w way
	if !l.nodeSays(node, fmt.Sprintf("reach/%s/%s", s.Namespace, s.Name), &w) {
		return Link{}, false, nil
	}
	for _, step := range []func(*v1.Service, *way) (Link, bool){
		l.lostEndpoint, l.lostName, l.lostRule, l.lostHop(hopClusterIP), l.lostServer, l.lostHop(hopNodePort), l.lostHop(hopLoadBalancer),
	} {
		if found, lost := step(s, &w); lost {
			return found, true, nil
		}
	}
	return Link{}, false, w.seen()
}

// again is the command that looks once more, and why.
func (l *look) again(s *v1.Service, reason string) string {
	return note(l.command(s.Namespace, "why service/%s", s.Name), reason)
}

// lostEndpoint finds an endpoint that is ready and takes no connection.
func (l *look) lostEndpoint(s *v1.Service, w *way) (Link, bool) {
	for _, p := range w.Ports {
		for _, h := range p.Hops {
			if h.Kind != hopEndpoint || h.Error == "" {
				continue
			}
			mend := lookAtRules
			if h.Pod != "" && strings.Contains(h.Error, "refused") {
				mend = note(l.command(s.Namespace, "logs %s", h.Pod), "what its program says")
			}
			return broken(serviceObject(s), "%s of port %d is ready, and takes no connection: %s", h.text(), p.Port, h.Error).
				seen(p.seen(hopEndpoint)...).mended(mend), true
		}
	}
	return Link{}, false
}

// lostName finds an answer of DNS that differs from the API.
func (l *look) lostName(s *v1.Service, w *way) (Link, bool) {
	if w.DNS.Error != "" || slices.Equal(w.DNS.Want, w.DNS.Answer) {
		return Link{}, false
	}
	of := "its ClusterIP is"
	if s.Spec.ClusterIP == v1.ClusterIPNone {
		of = "its ready endpoints are"
	}
	return broken(serviceObject(s), "DNS answers %s for its name %s, and %s %s", addressText(w.DNS.Answer), strings.TrimSuffix(w.DNS.Name, "."), of, addressText(w.DNS.Want)).
		seen(w.answer()).mended(l.again(s, "in ten seconds: DNS follows the API, and is asked anew")), true
}

// lostRule finds a ClusterIP that the kernel leads nowhere. It waits: kube-lite puts its rules back.
func (l *look) lostRule(s *v1.Service, w *way) (Link, bool) {
	for _, p := range w.Ports {
		for _, r := range p.Rules {
			if r.Error == "" && !r.Leads {
				return waiting(serviceObject(s), "the kernel has no rule that leads %s to its endpoints: kube-lite puts back within ten seconds what other programs remove", r.Address).
					seen(r.Seen).mended(l.again(s, "in ten seconds; if it says the same, another program removes the rules again and again")), true
			}
		}
	}
	return Link{}, false
}

// lostServer finds a DNS server that does not answer.
func (l *look) lostServer(s *v1.Service, w *way) (Link, bool) {
	if w.DNS.Error == "" {
		return Link{}, false
	}
	return broken(serviceObject(s), "is reached by its address, but the cluster's DNS server, %s, gives no answer for its name %s", w.DNS.Server, strings.TrimSuffix(w.DNS.Name, ".")).
		seen(w.answer()).mended(l.command(dnsNamespace, "why service/%s", dnsService)), true
}

// lostHop finds an address of a kind that takes no connection while endpoints behind it do, or whose port another program has.
func (l *look) lostHop(kind string) func(*v1.Service, *way) (Link, bool) {
	return func(s *v1.Service, w *way) (Link, bool) {
		for _, p := range w.Ports {
			for _, h := range p.Hops {
				if h.Kind != kind {
					continue
				}
				if event, ok := l.portHeld(s, h); ok {
					return broken(serviceObject(s), "%s leads to another program: %s", h.text(), firstLine(event.Message)).
						seen(l.eventLine(event)).mended(note("ss -tlnp", "as root: which program has the port")), true
				}
				if h.Error == "" {
					continue
				}
				out := broken(serviceObject(s), "%s takes no connection, though its endpoints do: %s", h.text(), h.Error).seen(p.seen(hopEndpoint, kind)...)
				for _, r := range p.Rules {
					out = out.seen(r.Seen)
				}
				return out.mended(lookAtRules), true
			}
		}
		return Link{}, false
	}
}

// lookAtRules is for a connection that nothing of kube-lite's refuses.
const lookAtRules = "nft list ruleset; iptables-save  # as root: is there a rule of another program that drops or rejects this?"

// portHeld is the event that another program has the port of this machine, unless a newer one says that it is free now.
func (l *look) portHeld(s *v1.Service, h hop) (v1.Event, bool) {
	_, port, _ := net.SplitHostPort(h.Address)
	reason, free, begins := "NodePortUnavailable", "NodePortServed", "NodePort "+port+"/TCP "
	switch h.Kind {
	case hopLoadBalancer:
		reason, free, begins = "LoadBalancerUnavailable", "LoadBalancerServed", "load balancer port "+h.Address+"/TCP "
	case hopNodePort:
	default:
		return v1.Event{}, false
	}
	for _, e := range l.events(s.Namespace, s.UID, reason, free) {
		if strings.HasPrefix(e.Message, begins) {
			return e, e.Reason == reason
		}
	}
	return v1.Event{}, false
}

// text names what the hop's address is of the Service.
func (h hop) text() string {
	switch h.Kind {
	case hopClusterIP:
		return "its ClusterIP, " + h.Address + ","
	case hopNodePort:
		host, port, _ := net.SplitHostPort(h.Address)
		return "its NodePort, " + port + " at " + host + ","
	case hopLoadBalancer:
		return "its load balancer, " + h.Address + ","
	case hopEndpoint:
		if h.Pod != "" {
			return "its endpoint " + h.Address + " (pod " + h.Pod + ")"
		}
	}
	return "its endpoint " + h.Address
}

// seen are the connections to hops of the kinds.
func (p wayPort) seen(kinds ...string) (out []string) {
	for _, h := range p.Hops {
		if slices.Contains(kinds, h.Kind) {
			out = append(out, strings.TrimSuffix(h.text(), ",")+": "+orElse(h.Error, "takes a connection"))
		}
	}
	return out
}

// seen is what was looked at.
func (w *way) seen() (out []string) {
	for _, p := range w.Ports {
		out = append(out, p.seen(hopEndpoint, hopClusterIP, hopNodePort, hopLoadBalancer)...)
		for _, r := range p.Rules {
			out = append(out, orElse(r.Error, r.Seen))
		}
	}
	return append(out, w.answer())
}

// answer is what DNS was asked, and said.
func (w *way) answer() string {
	return "DNS: " + orElse(w.DNS.Error, w.DNS.Server+" answers "+addressText(w.DNS.Answer)+" for "+w.DNS.Name)
}

func addressText(all []netip.Addr) string {
	var texts []string
	for _, ip := range all {
		texts = append(texts, ip.String())
	}
	if len(texts) == 0 {
		return "with no address"
	}
	return list(texts)
}
