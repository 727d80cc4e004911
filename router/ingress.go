package router

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
)

// translation makes a table of objects.
type translation struct {
	table *table
	// backend returns that of a port of a Service.
	backend func(backendKey) *backend
	// certificate returns that of a Secret of type kubernetes.io/tls.
	certificate func(namespace, name string) (*tls.Certificate, error)
	log         *slog.Logger

	used map[*backend]bool
	// problems are what is wrong with each object, a sentence each.
	problems map[types.UID][]string
}

// translate puts the routes of Ingresses into the table. Where two want the same path of a host, the older one has it.
func (t *translation) translate(ingresses []*networkingv1.Ingress) {
	t.used, t.problems = map[*backend]bool{}, map[types.UID][]string{}
	slices.SortFunc(ingresses, func(a, b *networkingv1.Ingress) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, ingress := range ingresses {
		one := ingressTranslation{translation: t, Ingress: ingress, secured: map[string]bool{}}
		var problems []string
		one.annotations, problems = readAnnotations(ingress.Annotations)
		for _, p := range problems {
			one.problem("%s", p)
		}
		one.translateTLS()
		one.translateRules()
	}
}

// ingressTranslation is the part of one Ingress.
type ingressTranslation struct {
	*translation
	*networkingv1.Ingress
	annotations annotations
	secured     map[string]bool // the hosts with TLS
}

func (t *ingressTranslation) problem(format string, args ...any) {
	t.problems[t.UID] = append(t.problems[t.UID], fmt.Sprintf(format, args...))
}

// translateTLS notes which hosts have TLS, and the certificates of those that bring one. An entry without hosts is for
// those of all rules.
func (t *ingressTranslation) translateTLS() {
	for i, entry := range t.Spec.TLS {
		hosts := entry.Hosts
		if len(hosts) == 0 {
			for _, rule := range t.Spec.Rules {
				hosts = append(hosts, rule.Host)
			}
		}
		var certificate *tls.Certificate
		if entry.SecretName != "" {
			var err error
			if certificate, err = t.certificate(t.Namespace, entry.SecretName); err != nil {
				t.problem("spec.tls[%d].secretName: %v; the instance's own CA signs for %s meanwhile", i, err, strings.Join(hosts, ", "))
			}
		}
		for _, host := range hosts {
			host = strings.ToLower(host)
			t.secured[host] = true
			if certificate != nil && t.table.certificates[host] == nil {
				t.table.certificates[host] = certificate
			}
		}
	}
}

func (t *ingressTranslation) translateRules() {
	for i, rule := range t.Spec.Rules {
		site := t.table.siteOf(rule.Host)
		if rule.HTTP == nil {
			if t.Spec.DefaultBackend == nil {
				t.problem("spec.rules[%d] has no paths, and there is no spec.defaultBackend", i)
			}
		} else {
			for j, p := range rule.HTTP.Paths {
				t.translatePath(site, rule.Host, p, fmt.Sprintf("spec.rules[%d].http.paths[%d]", i, j))
			}
		}
		if t.Spec.DefaultBackend != nil && site.fallback == nil {
			site.fallback = t.route(rule.Host, newPrefixPath("/"), *t.Spec.DefaultBackend, "spec.defaultBackend")
		}
	}
	if t.Spec.DefaultBackend == nil || t.table.rest.fallback != nil {
		return
	}
	t.table.rest.fallback = t.route("", newPrefixPath("/"), *t.Spec.DefaultBackend, "spec.defaultBackend")
}

func (t *ingressTranslation) translatePath(site *site, host string, p networkingv1.HTTPIngressPath, field string) {
	match, err := t.match(p)
	if err != nil {
		t.problem("%s: %v", field, err)
		return
	}
	r := t.route(host, match, p.Backend, field)
	if r == nil {
		return
	}
	if other := site.add(r); other != nil && other.owner != r.owner {
		t.problem("%s: the path %s of the host %q belongs to %s, which is older", field, p.Path, host, other.owner)
	}
}

func (t *ingressTranslation) match(p networkingv1.HTTPIngressPath) (pathMatch, error) {
	text := cmp.Or(p.Path, "/")
	switch {
	case p.PathType != nil && *p.PathType == networkingv1.PathTypeExact:
		return newExactPath(text), nil
	case t.annotations.expressions:
		return newExpressionPath(text)
	default:
		return newPrefixPath(text), nil
	}
}

// route makes the route to a backend; nil if there can be none.
func (t *ingressTranslation) route(host string, match pathMatch, to networkingv1.IngressBackend, field string) *route {
	if to.Service == nil {
		t.problem("%s: a backend that is no Service cannot be served here", field)
		return nil
	}
	backend := t.backend(backendKey{t.Namespace, to.Service.Name, to.Service.Port, t.annotations.protocol})
	t.used[backend] = true
	if problem := backend.current.Load().problem; problem != "" {
		t.problem("%s: %s", field, problem)
	}
	r := &route{
		owner: fmt.Sprintf("Ingress %s/%s", t.Namespace, t.Name), path: match, backend: backend,
		rewrite: t.annotations.rewrite, maxBody: t.annotations.maxBody,
		secure: t.annotations.secure || t.isSecured(host) && !t.annotations.insecure,
	}
	r.handler = newHandler(r, t.log)
	return r
}

// isSecured tells whether an entry of spec.tls is for the host, by its name or by a wildcard.
func (t *ingressTranslation) isSecured(host string) bool {
	host = strings.ToLower(host)
	_, suffix, found := strings.Cut(host, ".")
	return t.secured[host] || found && t.secured["*."+suffix]
}
