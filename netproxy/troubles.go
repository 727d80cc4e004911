package netproxy

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
)

// Reasons of the events on Services.
const (
	reasonNodePortUnavailable = "NodePortUnavailable"
	reasonNodePortServed      = "NodePortServed"
	reasonAffinityUnavailable = "SessionAffinityUnavailable"
	reasonProtocolUnavailable = "ProtocolUnavailable"
)

// trouble is something about one Service that cannot be had, identified apart from its words, which may change.
type trouble struct {
	service types.NamespacedName
	reason  string
	what    string
}

// troubles are those that were told; each is told once for as long as it lasts.
type troubles map[trouble]bool

// troublesOf finds what cannot be had now, with the sentence for it. A sentence is a function because it costs a
// walk through /proc, and most are never told.
func troublesOf(ports []servicePort, taken map[nodePort]error, f features) map[trouble]func() string {
	found := map[trouble]func() string{}
	for i := range ports {
		sp := &ports[i]
		n := nodePort{sp.Protocol, sp.NodePort}
		if err := taken[n]; err != nil {
			found[trouble{sp.Service, reasonNodePortUnavailable, n.String()}] = func() string { return takenMessage(n, err) }
		}
		if sp.AffinitySeconds > 0 && !f.recent {
			found[trouble{sp.Service, reasonAffinityUnavailable, ""}] = func() string {
				return "sessionAffinity ClientIP has no effect: this kernel lacks the iptables match recent (module xt_recent)"
			}
		}
		if sp.Protocol == corev1.ProtocolSCTP && !f.sctp {
			found[trouble{sp.Service, reasonProtocolUnavailable, sp.PortName}] = func() string {
				return fmt.Sprintf("port %d/SCTP is not served: this kernel lacks the iptables match sctp (module xt_sctp)", sp.Port)
			}
		}
	}
	return found
}

// tell sends an event for each new trouble, and for each NodePort that came free.
func (t troubles) tell(recorder record.EventRecorder, services []*corev1.Service, found map[trouble]func() string) {
	byName := make(map[types.NamespacedName]*corev1.Service, len(services))
	for _, s := range services {
		byName[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}] = s
	}
	for tr, sentence := range found {
		if !t[tr] && recorder != nil {
			recorder.Event(byName[tr.service], corev1.EventTypeWarning, tr.reason, sentence())
		}
		t[tr] = true
	}
	for tr := range t {
		if found[tr] != nil {
			continue
		}
		delete(t, tr)
		if svc := byName[tr.service]; svc != nil && recorder != nil && tr.reason == reasonNodePortUnavailable {
			recorder.Eventf(svc, corev1.EventTypeNormal, reasonNodePortServed, "NodePort %s is free now and served", tr.what)
		}
	}
}
