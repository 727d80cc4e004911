package netproxy

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
)

// Reasons of the events on Services and Pods.
const (
	reasonNodePortUnavailable  = "NodePortUnavailable"
	reasonNodePortServed       = "NodePortServed"
	reasonBalancerUnavailable  = "LoadBalancerUnavailable"
	reasonBalancerServed       = "LoadBalancerServed"
	reasonLoopback6Unavailable = "IPv6LoopbackUnavailable"
	reasonLoopback6Served      = "IPv6LoopbackServed"
	reasonHostPortUnavailable  = "HostPortUnavailable"
	reasonHostPortServed       = "HostPortServed"
	reasonAffinityUnavailable  = "SessionAffinityUnavailable"
	reasonProtocolUnavailable  = "ProtocolUnavailable"
	reasonPolicyIncomplete     = "NetworkPolicyIncomplete"
)

// trouble is something about one Service, Pod or NetworkPolicy that cannot be had, identified apart from its words, which may change.
type trouble struct {
	kind   string // Service, Pod or NetworkPolicy
	name   types.NamespacedName
	reason string
	what   string
}

// troubles are those that were told; each is told once for as long as it lasts.
type troubles map[trouble]bool

// serviceTroubles finds what a Service cannot have now, with the sentence for it. A sentence is a function because it
// costs a walk through /proc, and most are never told.
func serviceTroubles(ports []servicePort, taken map[nodePort]error, f features) map[trouble]func() string {
	found := map[trouble]func() string{}
	for i := range ports {
		sp := &ports[i]
		n := nodePort{protocol: sp.Protocol, port: sp.NodePort}
		if err := sp.nodePortTaken(taken); err != nil {
			found[trouble{"Service", sp.Service, reasonNodePortUnavailable, n.String()}] = func() string { return takenMessage("NodePort", n, err, "the ClusterIP") }
		}
		for _, ip := range sp.LoadBalancerIPs {
			n := sp.balancedAt(ip)
			if err := sp.balancedTaken(ip, taken); err != nil {
				found[trouble{"Service", sp.Service, reasonBalancerUnavailable, n.String()}] = func() string {
					return takenMessage("load balancer port", n, err, "the ClusterIP")
				}
			}
		}
		if sp.AffinitySeconds > 0 && !f.recent {
			found[trouble{"Service", sp.Service, reasonAffinityUnavailable, ""}] = func() string {
				return "sessionAffinity ClientIP has no effect: this kernel lacks the iptables match recent (module xt_recent)"
			}
		}
		if sp.Protocol == corev1.ProtocolSCTP && !f.sctp {
			found[trouble{"Service", sp.Service, reasonProtocolUnavailable, sp.PortName}] = func() string {
				return fmt.Sprintf("port %d/SCTP is not served: this kernel lacks the iptables match sctp (module xt_sctp)", sp.Port)
			}
		}
	}
	return found
}

// hostTroubles finds what Pods cannot have of this machine now.
func hostTroubles(hosts []hostPort, taken map[nodePort]error, f features) map[trouble]func() string {
	found := map[trouble]func() string{}
	for _, h := range hosts {
		if err := taken[h.reserved()]; err != nil && !h.OfNode {
			found[trouble{"Pod", h.Pod, reasonHostPortUnavailable, h.socket().String()}] = func() string {
				return takenMessage("hostPort", h.socket(), err, "the Pod's own address")
			}
		}
		if h.Protocol == corev1.ProtocolSCTP && !f.sctp {
			found[trouble{"Pod", h.Pod, reasonProtocolUnavailable, h.socket().String()}] = func() string {
				return fmt.Sprintf("hostPort %d/SCTP is not served: this kernel lacks the iptables match sctp (module xt_sctp)", h.Port)
			}
		}
	}
	return found
}

// served are the reasons of the events that end others.
var served = map[string]struct{ reason, port string }{
	reasonNodePortUnavailable:  {reasonNodePortServed, "NodePort"},
	reasonBalancerUnavailable:  {reasonBalancerServed, "load balancer port"},
	reasonLoopback6Unavailable: {reasonLoopback6Served, "port"},
	reasonHostPortUnavailable:  {reasonHostPortServed, "hostPort"},
}

// tell sends an event for each new trouble, and for each port that came free. object finds what a trouble is about, or
// returns nil. Those of which looked tells that nobody looked for them stay as they are.
func (t troubles) tell(recorder record.EventRecorder, object func(trouble) runtime.Object, found map[trouble]func() string, looked func(trouble) bool) {
	for tr, sentence := range found {
		if about := object(tr); !t[tr] && recorder != nil && about != nil {
			recorder.Event(about, corev1.EventTypeWarning, tr.reason, sentence())
		}
		t[tr] = true
	}
	for tr := range t {
		if found[tr] != nil || !looked(tr) {
			continue
		}
		delete(t, tr)
		over, ok := served[tr.reason]
		if about := object(tr); ok && about != nil && recorder != nil {
			recorder.Eventf(about, corev1.EventTypeNormal, over.reason, "%s %s is free now and served", over.port, tr.what)
		}
	}
}

// object finds what a trouble is about.
func (p *Proxy) object(tr trouble) runtime.Object {
	if tr.kind == "NetworkPolicy" {
		return p.policies.object(tr.name)
	}
	if tr.kind == "Pod" {
		if pod, err := p.pods.Pods(tr.name.Namespace).Get(tr.name.Name); err == nil {
			return pod
		}
		return nil
	}
	if svc, err := p.services.Services(tr.name.Namespace).Get(tr.name.Name); err == nil {
		return svc
	}
	return nil
}
