package intercept

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// serviceProxyNameLabel on a Service means that another proxy serves it.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#servicekubernetesioservice-proxy-name
const serviceProxyNameLabel = "service.kubernetes.io/service-proxy-name"

// PortOf finds the port of a Service that is meant by its name or number, or, with "", the only one of TCP. The error says why
// it cannot be intercepted; nearest guesses what a mistyped name was to be, and "" is no guess.
func PortOf(svc *corev1.Service, wanted string, nearest func(string, []string) string) (corev1.ServicePort, error) {
	fail := func(format string, args ...any) (corev1.ServicePort, error) {
		return corev1.ServicePort{}, fmt.Errorf("the Service %s/%s %s", svc.Namespace, svc.Name, fmt.Sprintf(format, args...))
	}
	_, foreign := svc.Labels[serviceProxyNameLabel]
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		return fail("is an alias of %s: clients go there, and nothing of this machine is between", svc.Spec.ExternalName)
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		return fail("is headless: DNS leads its clients straight to the pods, and there is no ClusterIP to intercept")
	case foreign:
		return fail("is served by another proxy, as its label %s says", serviceProxyNameLabel)
	}
	var streams, found []corev1.ServicePort
	for _, p := range svc.Spec.Ports {
		if p.Protocol == corev1.ProtocolTCP || p.Protocol == "" {
			streams = append(streams, p)
		}
		if wanted != "" && (p.Name == wanted || strconv.Itoa(int(p.Port)) == wanted) {
			found = append(found, p)
		}
	}
	if wanted == "" {
		found = streams
	}
	var only []corev1.ServicePort
	for _, p := range found {
		if p.Protocol == corev1.ProtocolTCP || p.Protocol == "" {
			only = append(only, p)
		}
	}
	switch {
	case len(only) == 1:
		return only[0], nil
	case len(only) > 1:
		return fail("has several ports: choose one with --port: %s", portList(only))
	case len(found) > 0 || wanted == "":
		return fail("has no such port of TCP, and no other protocol is intercepted: it has %s", portList(svc.Spec.Ports))
	}
	guess := ""
	if meant := nearest(wanted, portNames(svc.Spec.Ports)); meant != "" {
		guess = fmt.Sprintf(" (did you mean %q?)", meant)
	}
	return fail("has no port %q%s: it has %s", wanted, guess, portList(svc.Spec.Ports))
}

// checkTarget refuses a process that is the Service itself, to which its connections would return for ever.
func checkTarget(svc *corev1.Service, port corev1.ServicePort, to string) error {
	host, number, err := net.SplitHostPort(to)
	if err != nil {
		return err
	}
	hosts := []string{host}
	if host == "localhost" {
		hosts = append(hosts, "127.0.0.1", "::1")
	}
	own := slices.Concat(svc.Spec.ClusterIPs, svc.Spec.ExternalIPs, []string{svc.Spec.ClusterIP})
	for _, at := range svc.Status.LoadBalancer.Ingress {
		own = append(own, at.IP)
	}
	for _, h := range hosts {
		address, err := netip.ParseAddr(h)
		if err != nil {
			continue
		}
		isPort := number == strconv.Itoa(int(port.Port)) && slices.Contains(own, address.String())
		isNodePort := number == strconv.Itoa(int(port.NodePort)) && address.IsLoopback()
		if isPort || isNodePort {
			return fmt.Errorf("--to %s is the Service %s/%s itself: have the process listen at another port", to, svc.Namespace, svc.Name)
		}
	}
	return nil
}

func portNames(ports []corev1.ServicePort) (names []string) {
	for _, p := range ports {
		if p.Name != "" {
			names = append(names, p.Name)
		}
	}
	return names
}

func portList(ports []corev1.ServicePort) string {
	var texts []string
	for _, p := range ports {
		text := strconv.Itoa(int(p.Port))
		if p.Name != "" {
			text = p.Name + " (" + text + ")"
		}
		if p.Protocol != "" && p.Protocol != corev1.ProtocolTCP {
			text += "/" + string(p.Protocol)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}
