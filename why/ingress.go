package why

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// legacyClassAnnotation named the class before spec.ingressClassName did.
const legacyClassAnnotation = "kubernetes.io/ingress.class"

// ingress follows an Ingress to its class, its Services and its certificates.
func (l *look) ingress(i *networkingv1.Ingress) links {
	at := Object{"Ingress", i.Namespace, i.Name}
	if i.DeletionTimestamp != nil {
		return links{l.ending(at, i)}
	}
	served := len(i.Status.LoadBalancer.Ingress) > 0
	if found, ok := l.ingressClass(at, i, served); ok {
		return links{found}
	}
	checked := map[string]bool{}
	for _, b := range backendsOf(i) {
		if b.backend.Service == nil {
			continue
		}
		found := l.backend(at, b.where, i.Namespace, b.backend.Service.Name, b.backend.Service.Port, checked)
		if !found.well() {
			return found
		}
	}
	for _, entry := range i.Spec.TLS {
		if found, ok := l.certificate(at, i.Namespace, entry); ok {
			return links{found}
		}
	}
	if !served {
		return links{waiting(at, "its Services answer, and no ingress controller has given it an address: status.loadBalancer is empty").seen(l.warnings(i)...)}
	}
	out := well(at, "is served, and its Services answer").seen(l.warnings(i)...)
	if routed := l.events(i.Namespace, i.UID, "Routed"); len(routed) > 0 {
		out = out.seen(routed[0].Message)
	}
	return links{out}
}

// ingressClass tells of an Ingress that no controller serves for its class.
func (l *look) ingressClass(at Object, i *networkingv1.Ingress, served bool) (Link, bool) {
	if served {
		return Link{}, false
	}
	classes, ok := listOf(l, "ingressclasses", "", l.client.NetworkingV1().IngressClasses())
	if !ok {
		return Link{}, false
	}
	names := named(classes.Items, func(c *networkingv1.IngressClass) string { return c.Name })
	class := orElse(deref(i.Spec.IngressClassName), i.Annotations[legacyClassAnnotation])
	evidence := "IngressClasses: " + list(names)
	mend := l.command(at.Namespace, `patch ingress %s --type=merge -p '{"spec":{"ingressClassName":"%s"}}'`, at.Name, otherClass(class, classes.Items))
	switch {
	case class == "" && !slices.ContainsFunc(classes.Items, func(c networkingv1.IngressClass) bool {
		return c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true"
	}):
		return broken(at, "names no IngressClass, and none is the default, so nobody serves it").seen(evidence).mended(mend), true
	case class != "" && !slices.Contains(names, class):
		return broken(at, "its IngressClass %s does not exist%s, and nobody serves it", quote(class), orNearest(class, names)).seen(evidence).mended(mend), true
	case class != "":
		for _, c := range classes.Items {
			if c.Name == class {
				return broken(at, "its IngressClass %s leaves it to the controller %s, which has given it no address", quote(class), quote(c.Spec.Controller)).
					seen("status.loadBalancer is empty", evidence).seen(l.warnings(i)...).
					mended(note(mend, "or see whether that controller runs")), true
			}
		}
	}
	return Link{}, false
}

// otherClass is the one to name in place of a class that nobody serves.
func otherClass(class string, all []networkingv1.IngressClass) string {
	var names []string
	for _, c := range all {
		if c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			return c.Name
		}
		if c.Name != class {
			names = append(names, c.Name)
		}
	}
	return orElse(nearest(class, names), "CLASS")
}

// placedBackend is a backend and the rule that names it.
type placedBackend struct {
	where   string
	backend networkingv1.IngressBackend
}

func backendsOf(i *networkingv1.Ingress) (out []placedBackend) {
	if b := i.Spec.DefaultBackend; b != nil {
		out = append(out, placedBackend{"its default backend", *b})
	}
	for _, rule := range i.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			out = append(out, placedBackend{fmt.Sprintf("its rule for %s%s", orElse(rule.Host, "every host"), orElse(path.Path, "/")), path.Backend})
		}
	}
	return out
}

// backend follows a rule to its Service, each Service once.
func (l *look) backend(at Object, where, namespace, name string, port networkingv1.ServiceBackendPort, checked map[string]bool) links {
	s, found := get(l, "service", name, l.client.CoreV1().Services(namespace))
	switch found {
	case missing:
		var names []string
		if all, ok := listOf(l, "services", namespace, l.client.CoreV1().Services(namespace)); ok {
			names = named(all.Items, func(s *v1.Service) string { return s.Name })
		}
		return links{broken(at, "%s leads to the Service %s, which does not exist%s", where, quote(name), orNearest(name, names)).
			seen(fmt.Sprintf("Services in namespace %s: %s", namespace, list(names))).
			mended(note(l.command(at.Namespace, "edit %s %s", resourceOf(at.Kind), at.Name), "and correct the name"))}
	case unreadable:
		return links{Link{Object: at, State: Unknown, Sentence: where + " leads to the Service " + quote(name) + ", which could not be read"}}
	}
	var names, all []string
	for _, p := range s.Spec.Ports {
		if p.Name == port.Name && p.Name != "" || port.Name == "" && (p.Port == port.Number || port.Number == 0) {
			if checked[name] {
				return nil
			}
			checked[name] = true
			return led(well(at, "%s leads to the Service %s", where, name), l.service(s))
		}
		if p.Name != "" {
			names = append(names, p.Name)
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %d", p.Name, p.Port)))
	}
	asked := quote(port.Name)
	hint := orNearest(port.Name, names)
	if port.Name == "" {
		asked, hint = fmt.Sprint(port.Number), ""
		if len(s.Spec.Ports) == 1 {
			hint = fmt.Sprintf("; it has %d", s.Spec.Ports[0].Port)
		}
	}
	return links{broken(at, "%s leads to port %s of the Service %s, which has no such port%s", where, asked, quote(name), hint).
		seen("ports of the Service: " + list(all)).
		mended(note(l.command(at.Namespace, "edit %s %s", resourceOf(at.Kind), at.Name), "and correct the port"))}
}

// certificate looks at the Secret of a host.
func (l *look) certificate(at Object, namespace string, entry networkingv1.IngressTLS) (Link, bool) {
	if entry.SecretName == "" {
		return Link{}, false
	}
	hosts := orElse(strings.Join(entry.Hosts, ", "), "its hosts")
	s, found := get(l, "secret", entry.SecretName, l.client.CoreV1().Secrets(namespace))
	switch found {
	case missing:
		return broken(at, "the certificate of %s is to be in the Secret %s, which does not exist%s", hosts, quote(entry.SecretName), orNearest(entry.SecretName, l.secretNames(namespace))).
			mended(l.command(namespace, "create secret tls %s --cert=FILE --key=FILE", entry.SecretName)), true
	case unreadable:
		return Link{}, false
	}
	mend := l.command(namespace, "create secret tls %s --cert=FILE --key=FILE --dry-run=client -o yaml", entry.SecretName) + " | " + l.command(namespace, "apply -f -")
	for _, key := range []string{v1.TLSCertKey, v1.TLSPrivateKeyKey} {
		if len(s.Data[key]) == 0 {
			return broken(at, "the certificate of %s is to be in the Secret %s, which has no key %s", hosts, quote(entry.SecretName), quote(key)).mended(mend), true
		}
	}
	pair, err := tls.X509KeyPair(s.Data[v1.TLSCertKey], s.Data[v1.TLSPrivateKeyKey])
	if err != nil {
		return broken(at, "the Secret %s holds no certificate with its key: %v", quote(entry.SecretName), err).mended(mend), true
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return Link{}, false
	}
	if l.opts.Now().After(leaf.NotAfter) {
		return broken(at, "the certificate of %s in the Secret %s has been out of date for %s", hosts, quote(entry.SecretName), l.since(leaf.NotAfter)).mended(mend), true
	}
	for _, host := range entry.Hosts {
		if err := leaf.VerifyHostname(strings.Replace(host, "*", "any", 1)); err != nil {
			return broken(at, "the certificate in the Secret %s is not one for %s: it names %s", quote(entry.SecretName), host, list(leaf.DNSNames)).mended(mend), true
		}
	}
	return Link{}, false
}
