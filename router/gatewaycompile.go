package router

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func (t *gatewayTranslation) newRule(r *routePart) *gatewayRule {
	return &gatewayRule{owner: r.kind + " " + r.name(), running: t.mirrors}
}

func (t *gatewayTranslation) compileHTTP(r *routePart, rules []gatewayv1.HTTPRouteRule) {
	for _, declared := range rules {
		rule := t.newRule(r)
		rule.filters = t.compileFilters(r, declared.Filters)
		if declared.Timeouts != nil {
			rule.timeout = shorter(duration(declared.Timeouts.Request), duration(declared.Timeouts.BackendRequest))
		}
		for _, ref := range declared.BackendRefs {
			t.addBackend(r, rule, ref.BackendRef, "", t.compileFilters(r, ref.Filters))
		}
		addRule(r, rule, declared.Matches, compileMatch)
	}
}

func (t *gatewayTranslation) compileGRPC(r *routePart, rules []gatewayv1.GRPCRouteRule) {
	for _, declared := range rules {
		rule := t.newRule(r)
		rule.filters = t.compileFilters(r, asHTTP(declared.Filters))
		for _, ref := range declared.BackendRefs {
			t.addBackend(r, rule, ref.BackendRef, protocolGRPC, t.compileFilters(r, asHTTP(ref.Filters)))
		}
		addRule(r, rule, declared.Matches, compileGRPCMatch)
	}
}

// addRule adds a rule of requests with what it matches: all of them if nothing is declared.
func addRule[M any](r *routePart, rule *gatewayRule, declared []M, compile func(M) (requestMatch, error)) {
	part := rulePart{rule: rule}
	for _, m := range declared {
		match, err := compile(m)
		if err != nil {
			r.unsupported = err.Error()
			continue
		}
		part.matches = append(part.matches, match)
	}
	if len(declared) == 0 {
		part.matches = []requestMatch{{path: newPrefixPath("/")}}
	}
	r.rules = append(r.rules, part)
}

// asHTTP are the filters of a GRPCRoute, all of which HTTPRoutes have too.
func asHTTP(declared []gatewayv1.GRPCRouteFilter) (all []gatewayv1.HTTPRouteFilter) {
	for _, f := range declared {
		all = append(all, gatewayv1.HTTPRouteFilter{
			Type: gatewayv1.HTTPRouteFilterType(f.Type), RequestHeaderModifier: f.RequestHeaderModifier,
			ResponseHeaderModifier: f.ResponseHeaderModifier, RequestMirror: f.RequestMirror, ExtensionRef: f.ExtensionRef,
		})
	}
	return all
}

func (t *gatewayTranslation) compileTLS(r *routePart, rules []gatewayv1.TLSRouteRule) {
	for _, declared := range rules {
		rule := t.newRule(r)
		for _, ref := range declared.BackendRefs {
			t.addBackend(r, rule, ref, "", filters{})
		}
		r.rules = append(r.rules, rulePart{rule: rule})
	}
}

func duration(text *gatewayv1.Duration) time.Duration {
	d, _ := time.ParseDuration(string(ptr.Deref(text, ""))) // of what the definition admits
	return d
}

// shorter is the shorter of two limits, 0 being none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func compileMatch(m gatewayv1.HTTPRouteMatch) (match requestMatch, err error) {
	match = requestMatch{path: newPrefixPath("/"), method: string(ptr.Deref(m.Method, ""))}
	if m.Path != nil {
		value := ptr.Deref(m.Path.Value, "/")
		switch ptr.Deref(m.Path.Type, gatewayv1.PathMatchPathPrefix) {
		case gatewayv1.PathMatchExact:
			match.path = newExactPath(value)
		case gatewayv1.PathMatchPathPrefix:
			match.path = newPrefixPath(value)
		case gatewayv1.PathMatchRegularExpression:
			if match.path, err = newWholePath(value); err != nil {
				return match, err
			}
		}
	}
	for _, h := range m.Headers {
		one, err := compileValue(string(h.Name), h.Value, ptr.Deref(h.Type, "") == gatewayv1.HeaderMatchRegularExpression)
		if err != nil {
			return match, err
		}
		match.headers = append(match.headers, one)
	}
	for _, q := range m.QueryParams {
		one, err := compileValue(string(q.Name), q.Value, ptr.Deref(q.Type, "") == gatewayv1.QueryParamMatchRegularExpression)
		if err != nil {
			return match, err
		}
		match.queries = append(match.queries, one)
	}
	return match, nil
}

// newWholePath matches a path from its beginning to its end.
func newWholePath(text string) (pathMatch, error) {
	expression, err := regexp.Compile("^(?:" + text + ")$")
	if err != nil {
		return pathMatch{}, fmt.Errorf("path %q is no regular expression of Go's (https://golang.org/s/re2syntax): %w", text, err)
	}
	return pathMatch{kind: expressionPath, text: text, expression: expression}, nil
}

func compileValue(name, value string, expression bool) (valueMatch, error) {
	m := valueMatch{name: name, value: value}
	if !expression {
		return m, nil
	}
	var err error
	if m.expression, err = regexp.Compile("^(?:" + value + ")$"); err != nil {
		return m, fmt.Errorf("%s: %q is no regular expression of Go's (https://golang.org/s/re2syntax): %w", name, value, err)
	}
	return m, nil
}

// compileGRPCMatch matches the path by which gRPC calls a method: /service/method.
func compileGRPCMatch(m gatewayv1.GRPCRouteMatch) (match requestMatch, err error) {
	match.path = newPrefixPath("/")
	if m.Method != nil {
		service, method := ptr.Deref(m.Method.Service, ""), ptr.Deref(m.Method.Method, "")
		switch {
		case ptr.Deref(m.Method.Type, "") == gatewayv1.GRPCMethodMatchRegularExpression:
			match.path, err = newWholePath("/" + cmp.Or(service, "[^/]+") + "/" + cmp.Or(method, "[^/]+"))
		case service != "" && method != "":
			match.path = newExactPath("/" + service + "/" + method)
		case service != "":
			match.path = newPrefixPath("/" + service)
		case method != "":
			match.path, err = newWholePath("/[^/]+/" + regexp.QuoteMeta(method))
		}
	}
	for _, h := range m.Headers {
		one, failed := compileValue(string(h.Name), h.Value, ptr.Deref(h.Type, "") == gatewayv1.GRPCHeaderMatchRegularExpression)
		if failed != nil {
			return match, failed
		}
		match.headers = append(match.headers, one)
	}
	return match, err
}

// addBackend adds what a reference means to a rule. One that cannot be served keeps its share, and answers 500.
func (t *gatewayTranslation) addBackend(r *routePart, rule *gatewayRule, ref gatewayv1.BackendRef, spoken protocol, own filters) {
	to := weighted{weight: int(ptr.Deref(ref.Weight, 1))}
	if to.backend, to.problem = t.resolve(r, ref.BackendObjectReference, spoken); to.backend != nil {
		to.handler = newGatewayHandler(rule, to.backend, own, t.log)
	}
	rule.backends = append(rule.backends, to)
}

// resolve finds the backend of a reference, or says what is wrong with it.
func (t *gatewayTranslation) resolve(r *routePart, ref gatewayv1.BackendObjectReference, spoken protocol) (*backend, string) {
	namespace, name := string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(r.meta.Namespace))), string(ref.Name)
	refuse := func(reason gatewayv1.RouteConditionReason, text string) (*backend, string) {
		r.refer(reason, text)
		return nil, text
	}
	switch {
	case ptr.Deref(ref.Group, "") != "" || ptr.Deref(ref.Kind, "Service") != "Service":
		return refuse(gatewayv1.RouteReasonInvalidKind, fmt.Sprintf("%s %s: backends are Services here", ptr.Deref(ref.Kind, ""), name))
	case !t.granted(r.kind, r.meta.Namespace, "", "Service", namespace, name):
		return refuse(gatewayv1.RouteReasonRefNotPermitted, fmt.Sprintf("no ReferenceGrant of %s lets it use the Service %s", namespace, name))
	case ref.Port == nil:
		return refuse(gatewayv1.RouteReasonUnsupportedValue, fmt.Sprintf("the Service %s/%s needs a port", namespace, name))
	}
	b := t.backend(backendKey{namespace, name, networkingv1.ServiceBackendPort{Number: *ref.Port}, spoken})
	t.used[b] = true
	if problem := b.current.Load().problem; problem != "" {
		return refuse(gatewayv1.RouteReasonBackendNotFound, problem)
	}
	return b, ""
}

// compileFilters reads the filters of a rule or a backend.
func (t *gatewayTranslation) compileFilters(r *routePart, declared []gatewayv1.HTTPRouteFilter) (f filters) {
	for _, d := range declared {
		switch {
		case d.Type == gatewayv1.HTTPRouteFilterRequestHeaderModifier && d.RequestHeaderModifier != nil:
			f.request = append(f.request, newHeaderEdit(d.RequestHeaderModifier))
		case d.Type == gatewayv1.HTTPRouteFilterResponseHeaderModifier && d.ResponseHeaderModifier != nil:
			f.response = append(f.response, newHeaderEdit(d.ResponseHeaderModifier))
		case d.Type == gatewayv1.HTTPRouteFilterRequestRedirect && d.RequestRedirect != nil:
			f.redirect = newRedirect(d.RequestRedirect)
		case d.Type == gatewayv1.HTTPRouteFilterURLRewrite && d.URLRewrite != nil:
			f.rewrite = &urlRewrite{host: string(ptr.Deref(d.URLRewrite.Hostname, "")), path: newPathChange(d.URLRewrite.Path)}
		case d.Type == gatewayv1.HTTPRouteFilterRequestMirror && d.RequestMirror != nil:
			if to, _ := t.resolve(r, d.RequestMirror.BackendRef, ""); to != nil {
				f.mirrors = append(f.mirrors, newMirror(to, d.RequestMirror))
			}
		case d.Type == gatewayv1.HTTPRouteFilterCORS && d.CORS != nil:
			f.cors = newCORS(d.CORS)
		default:
			r.unsupported = fmt.Sprintf("the filter %s is not known here", d.Type)
		}
	}
	return f
}

func newHeaderEdit(f *gatewayv1.HTTPHeaderFilter) headerEdit {
	return headerEdit{set: f.Set, add: f.Add, remove: f.Remove}
}

func newRedirect(f *gatewayv1.HTTPRequestRedirectFilter) *redirect {
	return &redirect{
		scheme: ptr.Deref(f.Scheme, ""), host: string(ptr.Deref(f.Hostname, "")), path: newPathChange(f.Path),
		port: uint16(ptr.Deref(f.Port, 0)), code: ptr.Deref(f.StatusCode, http.StatusFound),
	}
}

func newMirror(to *backend, f *gatewayv1.HTTPRequestMirrorFilter) mirror {
	m := mirror{backend: to, numerator: 1, denominator: 1}
	switch {
	case f.Percent != nil:
		m.numerator, m.denominator = int(*f.Percent), 100
	case f.Fraction != nil:
		m.numerator, m.denominator = int(f.Fraction.Numerator), int(ptr.Deref(f.Fraction.Denominator, 100))
	}
	return m
}
