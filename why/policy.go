package why

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// policiesOf are the NetworkPolicies that isolate a Pod from what comes in.
func (l *look) policiesOf(pod *v1.Pod) (out []*networkingv1.NetworkPolicy) {
	all, ok := listOf(l, "networkpolicies", pod.Namespace, l.client.NetworkingV1().NetworkPolicies(pod.Namespace))
	if !ok {
		return nil
	}
	for n := range all.Items {
		p := &all.Items[n]
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) &&
			(len(p.Spec.PolicyTypes) == 0 || slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)) {
			out = append(out, p)
		}
	}
	return out
}

// isolated tells of policies that let nothing in at a port.
func (l *look) isolated(pod *v1.Pod, protocol v1.Protocol, port int32) (Link, bool) {
	policies := l.policiesOf(pod)
	var names []string
	for _, p := range policies {
		names = append(names, p.Name)
		for _, rule := range p.Spec.Ingress {
			if ruleHasPort(rule, pod, protocol, port) {
				return Link{}, false
			}
		}
	}
	if len(policies) == 0 {
		return Link{}, false
	}
	return broken(Object{"NetworkPolicy", pod.Namespace, names[0]}, "isolates pod %s, and no policy lets anything in on its port %d/%s", pod.Name, port, protocol).
		seen("policies that select the pod for what comes in: "+list(names), fmt.Sprintf("spec.podSelector of %s: %s", names[0], selectorText(&policies[0].Spec.PodSelector))).
		mended(note(l.command(pod.Namespace, "edit networkpolicy %s", names[0]), fmt.Sprintf("add an ingress rule for port %d", port))), true
}

// restrictions says who alone is let in to pods that policies isolate in part.
func (l *look) restrictions(s *v1.Service, pods []*v1.Pod) (out []string) {
	for n := range s.Spec.Ports {
		port := targetNumber(s.Spec.Ports[n], pods[0])
		for _, p := range l.policiesOf(pods[0]) {
			for _, rule := range p.Spec.Ingress {
				if len(rule.From) > 0 && ruleHasPort(rule, pods[0], protocolOf(s.Spec.Ports[n]), port) {
					out = append(out, fmt.Sprintf("NetworkPolicy %s lets in on port %d from %s", p.Name, port, peersText(rule.From)))
				}
			}
		}
	}
	return out
}

func peersText(peers []networkingv1.NetworkPolicyPeer) string {
	var parts []string
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			parts = append(parts, p.IPBlock.CIDR)
		case p.PodSelector != nil && p.NamespaceSelector != nil:
			parts = append(parts, fmt.Sprintf("pods with %s in namespaces with %s", selectorText(p.PodSelector), selectorText(p.NamespaceSelector)))
		case p.NamespaceSelector != nil:
			parts = append(parts, "namespaces with "+selectorText(p.NamespaceSelector))
		case p.PodSelector != nil:
			parts = append(parts, "pods of its namespace with "+selectorText(p.PodSelector))
		}
	}
	return strings.Join(parts, ", or ")
}

func ruleHasPort(rule networkingv1.NetworkPolicyIngressRule, pod *v1.Pod, protocol v1.Protocol, port int32) bool {
	if len(rule.Ports) == 0 {
		return true
	}
	return slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool {
		if p.Protocol != nil && *p.Protocol != protocol || p.Protocol == nil && protocol != v1.ProtocolTCP {
			return false
		}
		switch {
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			return targetNumber(v1.ServicePort{TargetPort: *p.Port, Protocol: protocol}, pod) == port
		case p.EndPort != nil:
			return p.Port.IntVal <= port && port <= *p.EndPort
		}
		return p.Port.IntVal == port
	})
}
