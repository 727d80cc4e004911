package router

import (
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// parseGatewayObjects reads documents; each is a second younger than the one before.
func parseGatewayObjects(t testing.TB, text string) (o gatewayObjects) {
	t.Helper()
	o.classes = []*gatewayv1.GatewayClass{{ObjectMeta: metav1.ObjectMeta{Name: ClassName}, Spec: gatewayv1.GatewayClassSpec{ControllerName: GatewayController}}}
	for i, document := range strings.Split(text, "\n---\n") {
		var head metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatal(err)
		}
		read := func(into any, meta *metav1.ObjectMeta) {
			if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
				t.Fatalf("%s: %v", document, err)
			}
			meta.CreationTimestamp = metav1.Unix(int64(i), 0)
			if meta.Namespace == "" {
				meta.Namespace = "default"
			}
		}
		switch head.Kind {
		case "Gateway":
			g := &gatewayv1.Gateway{}
			read(g, &g.ObjectMeta)
			g.Spec.GatewayClassName = ClassName
			o.gateways = append(o.gateways, g)
		case "HTTPRoute":
			r := &gatewayv1.HTTPRoute{}
			read(r, &r.ObjectMeta)
			o.http = append(o.http, r)
		case "GRPCRoute":
			r := &gatewayv1.GRPCRoute{}
			read(r, &r.ObjectMeta)
			o.grpc = append(o.grpc, r)
		case "TLSRoute":
			r := &gatewayv1.TLSRoute{}
			read(r, &r.ObjectMeta)
			o.tls = append(o.tls, r)
		case "ReferenceGrant":
			r := &gatewayv1.ReferenceGrant{}
			read(r, &r.ObjectMeta)
			o.grants = append(o.grants, r)
		default:
			t.Fatalf("kind %q", head.Kind)
		}
	}
	return o
}

// translatedGateways is what becomes of documents where every Service exists but "nowhere", and every Secret but "missing".
func translatedGateways(t *testing.T, text string) *gatewayTranslation {
	t.Helper()
	tr := &gatewayTranslation{
		gatewayObjects: parseGatewayObjects(t, text), log: slog.Default(), mirrors: &sync.WaitGroup{},
		backend: pretendedBackends(), certificate: pretendedCertificate,
		namespaceLabels: func(name string) labels.Set { return labels.Set{"name": name} },
	}
	slices.Reverse(tr.http) // the order in which they come decides nothing
	tr.translate()
	return tr
}

// led is the Service that a request to port 80 of the first Gateway is led to, "-" if to none.
func (t *gatewayTranslation) led(method, url string, headers ...string) string {
	req := httptest.NewRequest(method, "http://"+url, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	l := t.all[0].made.listener(80, hostname(req.Host), servesHTTP)
	if l == nil {
		return "-"
	}
	r := l.find(req)
	if r == nil {
		return "-"
	}
	to := choose(r.rule.backends)
	if to == nil || to.backend == nil {
		return "500"
	}
	return to.backend.key.service
}

// told are the conditions of a route's references, such as "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs".
func (t *gatewayTranslation) told(route string) (all []string) {
	for _, s := range t.statuses {
		if s.route.meta.Name != route {
			continue
		}
		for _, p := range s.parents {
			all = append(all, conditionsText(p.Conditions))
		}
	}
	return all
}

func conditionsText(conditions []metav1.Condition) string {
	var texts []string
	for _, c := range conditions {
		texts = append(texts, c.Type+"="+string(c.Status)+"/"+c.Reason)
	}
	return strings.Join(texts, " ")
}

const plainGateway = `
kind: Gateway
metadata: {name: g}
spec: {listeners: [{name: http, port: 80, protocol: HTTP}]}
---
`

func TestRequestsFindTheMostSpecificRoute(t *testing.T) {
	tr := translatedGateways(t, plainGateway+`
kind: HTTPRoute
metadata: {name: all}
spec:
  parentRefs: [{name: g}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: root, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /a}}]
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /a/long}}]
    backendRefs: [{name: long, port: 80}]
  - matches: [{path: {type: Exact, value: /a/long}}]
    backendRefs: [{name: exact, port: 80}]
  - matches: [{path: {type: RegularExpression, value: "/v[0-9]+/.*"}}]
    backendRefs: [{name: version, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /a}, method: POST}]
    backendRefs: [{name: post, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /a}, headers: [{name: X-One, value: "1"}]}]
    backendRefs: [{name: header, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /a}, headers: [{name: X-One, value: "1"}, {name: x-two, value: "[0-9]", type: RegularExpression}]}]
    backendRefs: [{name: headers, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /a}, queryParams: [{name: q, value: x}]}]
    backendRefs: [{name: query, port: 80}]
---
kind: HTTPRoute
metadata: {name: host}
spec:
  parentRefs: [{name: g}]
  hostnames: [shop.localhost, "*.wild.localhost"]
  rules:
  - backendRefs: [{name: shop, port: 80}]
---
kind: HTTPRoute
metadata: {name: younger}
spec:
  parentRefs: [{name: g}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /a}}]
    backendRefs: [{name: younger, port: 80}]
`)
	for _, c := range []struct{ method, url, header, want string }{
		{"GET", "x/", "", "root"},
		{"GET", "x/a", "", "a"},
		{"GET", "x/a/b", "", "a"},
		{"GET", "x/ab", "", "root"},
		{"GET", "x/a/long", "", "exact"},
		{"GET", "x/a/long/er", "", "long"},
		{"GET", "x/v12/x", "", "version"},
		{"GET", "x/v/x", "", "root"},
		{"POST", "x/a", "", "post"},
		{"GET", "x/a", "X-One: 1", "header"},
		{"GET", "x/a?q=x", "", "query"},
		{"GET", "x/a?q=y", "", "a"},
		{"GET", "shop.localhost/a", "", "shop"},
		{"GET", "a.b.wild.localhost/", "", "shop"},
		{"GET", "wild.localhost/", "", "root"},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		if got := tr.led(c.method, c.url, headers...); got != c.want {
			t.Errorf("%s %s %s is led to %s, want %s", c.method, c.url, c.header, got, c.want)
		}
	}
	if got := tr.led("GET", "x/a", "X-One: 1", "X-Two: 2"); got != "headers" {
		t.Errorf("a request with both headers is led to %s", got)
	}
}

func TestRoutesLearnWhatIsWrongWithThem(t *testing.T) {
	const fine = "ResolvedRefs=True/ResolvedRefs"
	tr := translatedGateways(t, `
kind: Gateway
metadata: {name: g}
spec:
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: "*.localhost"}
  - {name: chosen, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {name: friend}}}}}
  - {name: grpc, port: 8081, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}
---
kind: HTTPRoute
metadata: {name: good}
spec: {parentRefs: [{name: g, sectionName: http}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: no-section}
spec: {parentRefs: [{name: g, sectionName: nothing}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: no-port}
spec: {parentRefs: [{name: g, port: 81}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: other-host}
spec: {hostnames: [example.com], parentRefs: [{name: g, sectionName: http}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: not-allowed}
spec: {parentRefs: [{name: g, sectionName: chosen}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: friend, namespace: friend}
spec: {parentRefs: [{name: g, namespace: default, sectionName: chosen}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: wrong-kind}
spec: {parentRefs: [{name: g, sectionName: grpc}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: nowhere}
spec: {parentRefs: [{name: g, sectionName: http}], rules: [{backendRefs: [{name: nowhere, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: kind}
spec: {parentRefs: [{name: g, sectionName: http}], rules: [{backendRefs: [{name: web, kind: Thing, group: x.io, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: far}
spec: {parentRefs: [{name: g, sectionName: http}], rules: [{backendRefs: [{name: web, namespace: closed, port: 80}]}]}
---
kind: HTTPRoute
metadata: {name: granted}
spec: {parentRefs: [{name: g, sectionName: http}], rules: [{backendRefs: [{name: web, namespace: open, port: 80}]}]}
---
kind: ReferenceGrant
metadata: {name: x, namespace: open}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}], to: [{group: "", kind: Service}]}
---
kind: HTTPRoute
metadata: {name: elsewhere}
spec: {parentRefs: [{name: unknown}]}
`)
	for _, c := range []struct{ route, want string }{
		{"good", "Accepted=True/Accepted " + fine},
		{"no-section", "Accepted=False/NoMatchingParent " + fine},
		{"no-port", "Accepted=False/NoMatchingParent " + fine},
		{"other-host", "Accepted=False/NoMatchingListenerHostname " + fine},
		{"not-allowed", "Accepted=False/NotAllowedByListeners " + fine},
		{"friend", "Accepted=True/Accepted " + fine},
		{"wrong-kind", "Accepted=False/NotAllowedByListeners " + fine},
		{"nowhere", "Accepted=True/Accepted ResolvedRefs=False/BackendNotFound"},
		{"kind", "Accepted=True/Accepted ResolvedRefs=False/InvalidKind"},
		{"far", "Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted"},
		{"granted", "Accepted=True/Accepted " + fine},
		{"elsewhere", ""},
	} {
		if got := strings.Join(tr.told(c.route), "; "); got != c.want {
			t.Errorf("%s is told %q, want %q", c.route, got, c.want)
		}
	}
	if got := len(tr.all[0].listeners[0].attached); got != 5 {
		t.Errorf("%d routes are attached to the first listener, want 5", got)
	}
}

func TestListenersLearnWhatIsWrongWithThem(t *testing.T) {
	tr := translatedGateways(t, `
kind: Gateway
metadata: {name: g}
spec:
  listeners:
  - {name: good, port: 80, protocol: HTTP}
  - {name: same, port: 80, protocol: HTTP}
  - {name: conflict, port: 80, protocol: HTTPS, hostname: a.localhost, tls: {certificateRefs: [{name: x}]}}
  - {name: udp, port: 53, protocol: UDP}
  - {name: secret, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: missing}]}}
  - {name: far, port: 443, protocol: HTTPS, hostname: b.localhost, tls: {certificateRefs: [{name: x, namespace: other}]}}
  - {name: kinds, port: 8080, protocol: HTTP, allowedRoutes: {kinds: [{kind: TLSRoute}]}}
`)
	const noConflict, resolved = " Conflicted=False/NoConflicts", " ResolvedRefs=True/ResolvedRefs"
	want := []string{
		"Accepted=True/Accepted" + noConflict + resolved + " Programmed=True/Programmed",
		"Accepted=False/HostnameConflict Conflicted=True/HostnameConflict" + resolved + " Programmed=False/Invalid",
		"Accepted=False/ProtocolConflict Conflicted=True/ProtocolConflict" + resolved + " Programmed=False/Invalid",
		"Accepted=False/UnsupportedProtocol" + noConflict + resolved + " Programmed=False/Invalid",
		"Accepted=True/Accepted" + noConflict + " ResolvedRefs=False/InvalidCertificateRef Programmed=False/Invalid",
		"Accepted=True/Accepted" + noConflict + " ResolvedRefs=False/RefNotPermitted Programmed=False/Invalid",
		"Accepted=True/Accepted" + noConflict + " ResolvedRefs=False/InvalidRouteKinds Programmed=False/Invalid",
	}
	for i, l := range tr.all[0].listeners {
		if got := conditionsText(l.conditions); got != want[i] {
			t.Errorf("the listener %s is told\n%s, want\n%s", l.Name, got, want[i])
		}
	}
}

func TestHostsIntersect(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"", "", ""}, {"", "a.b", "a.b"}, {"*.b", "a.b", "a.b"}, {"*.b", "x.a.b", "x.a.b"}, {"*.b", "*.a.b", "*.a.b"},
		{"a.b", "c.b", "-"}, {"*.b", "b", "-"}, {"*.b", "*.c", "-"}, {"*.b", "", "*.b"},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			got, ok := hostPattern(pair[0]).intersect(hostPattern(pair[1]))
			if !ok {
				got = "-"
			}
			if string(got) != c.want {
				t.Errorf("%q and %q have %q in common, want %q", pair[0], pair[1], got, c.want)
			}
		}
	}
}

func TestPathsAreReplaced(t *testing.T) {
	for _, c := range []struct{ prefix, target, path, want string }{
		{"/foo", "/xyz", "/foo/bar", "/xyz/bar"}, {"/foo", "/xyz/", "/foo/bar", "/xyz/bar"}, {"/foo/", "/xyz", "/foo/bar", "/xyz/bar"},
		{"/foo", "/xyz", "/foo", "/xyz"}, {"/foo", "/", "/foo/bar", "/bar"}, {"/foo", "", "/foo", "/"}, {"/foo", "/xyz", "/foo/", "/xyz"},
	} {
		req := httptest.NewRequest("GET", "http://x"+c.path, nil)
		(&pathChange{target: c.target}).apply(req.URL, &requestMatch{path: newPrefixPath(c.prefix)})
		if req.URL.Path != c.want {
			t.Errorf("%s of %s replaced by %q is %s, want %s", c.prefix, c.path, c.target, req.URL.Path, c.want)
		}
	}
}
