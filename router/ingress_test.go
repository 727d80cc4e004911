package router

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// parseIngresses reads documents; each is a second younger than the one before.
func parseIngresses(t testing.TB, text string) (all []*networkingv1.Ingress) {
	t.Helper()
	for i, document := range strings.Split(text, "\n---\n") {
		ingress := &networkingv1.Ingress{}
		if err := yaml.UnmarshalStrict([]byte(document), ingress); err != nil {
			t.Fatal(err)
		}
		ingress.Namespace, ingress.UID = "default", types.UID(ingress.Name)
		ingress.CreationTimestamp = metav1.Unix(int64(i), 0)
		all = append(all, ingress)
	}
	return all
}

// pretendedBackends are those of all Services but "nowhere".
func pretendedBackends() func(backendKey) *backend {
	known := map[backendKey]*backend{}
	return func(key backendKey) *backend {
		if known[key] == nil {
			known[key] = &backend{key: key}
			problem := ""
			if key.service == "nowhere" {
				problem = "the Service default/nowhere does not exist"
			}
			known[key].lead(protocolHTTP, nil, problem)
		}
		return known[key]
	}
}

// pretendedCertificate is that of all Secrets but "missing".
func pretendedCertificate(_, name string) (*tls.Certificate, error) {
	if name == "missing" {
		return nil, errors.New("the Secret default/missing does not exist")
	}
	return &tls.Certificate{Certificate: [][]byte{[]byte(name)}}, nil
}

// translated is what becomes of documents where every Service exists but "nowhere", and every Secret but "missing".
func translated(t *testing.T, text string) *translation {
	t.Helper()
	tr := &translation{
		table: newTable(), log: slog.Default(),
		backend: pretendedBackends(), certificate: pretendedCertificate,
	}
	all := parseIngresses(t, text)
	slices.Reverse(all) // the order in which they come decides nothing
	tr.translate(all)
	return tr
}

// led is the Service that a request is led to, "-" if to none; "!" after it says that TLS is wanted.
func (t *translation) led(url string) string {
	host, path, _ := strings.Cut(url, "/")
	r := t.table.find(host, "/"+path)
	if r == nil {
		return "-"
	}
	to := r.backend.key.service
	if r.secure {
		to += "!"
	}
	return to
}

const shop = `
metadata: {name: shop}
spec:
  defaultBackend: {service: {name: rest, port: {number: 80}}}
  rules:
  - host: shop.localhost
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: front, port: {number: 80}}}}
      - {path: /api, pathType: Prefix, backend: {service: {name: api, port: {name: http}}}}
      - {path: /api/v2, pathType: ImplementationSpecific, backend: {service: {name: api2, port: {number: 80}}}}
      - {path: /api, pathType: Exact, backend: {service: {name: docs, port: {number: 80}}}}
  - host: "*.shop.localhost"
    http: {paths: [{path: /t, pathType: Prefix, backend: {service: {name: tenants, port: {number: 80}}}}]}
  - host: empty.localhost
---
metadata: {name: anywhere}
spec:
  rules:
  - http: {paths: [{path: /status, pathType: Prefix, backend: {service: {name: status, port: {number: 80}}}}]}
---
metadata: {name: late}
spec:
  tls: [{hosts: ["*.secure.localhost", shop.localhost], secretName: wild}]
  defaultBackend: {service: {name: later, port: {number: 80}}}
  rules:
  - host: shop.localhost
    http:
      paths:
      - {path: /late, pathType: Prefix, backend: {service: {name: late, port: {number: 80}}}}
      - {path: /api/, pathType: Prefix, backend: {service: {name: thief, port: {number: 80}}}}
  - host: a.secure.localhost
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: secured, port: {number: 80}}}}]}
`

func TestRequestsAreLedByHostAndPath(t *testing.T) {
	tr := translated(t, shop)
	for url, want := range map[string]string{
		"shop.localhost":              "front",
		"shop.localhost/x":            "front",
		"SHOP.localhost.:8080/":       "front",
		"shop.localhost/api":          "docs",
		"shop.localhost/api/":         "api",
		"shop.localhost/api/v1":       "api",
		"shop.localhost/api/v2/pets":  "api2",
		"shop.localhost/apis":         "front",
		"shop.localhost/late":         "late!",
		"a.shop.localhost/t":          "tenants",
		"a.shop.localhost/":           "rest", // of its own Ingress
		"a.b.shop.localhost/t":        "rest", // the star is one label
		"a.b.shop.localhost/status":   "status",
		"empty.localhost/status":      "rest", // a host that is declared has no other's routes
		"localhost/status":            "status",
		"127.0.0.1:80/status/":        "status",
		"[::1]:80/status/":            "status",
		"elsewhere.example.com/":      "rest",
		"a.secure.localhost/":         "secured!",
		"shop.localhost/x/../api/v2":  "api2",
		"shop.localhost//api//v2//x/": "api2",
	} {
		if got := tr.led(url); got != want {
			t.Errorf("%s is led to %s, want %s", url, got, want)
		}
	}
	want := []string{`spec.rules[0].http.paths[1]: the path /api/ of the host "shop.localhost" belongs to Ingress default/shop, which is older`}
	if got := tr.problems["late"]; !slices.Equal(got, want) {
		t.Errorf("problems: %q, want %q", got, want)
	}
	if len(tr.problems["shop"])+len(tr.problems["anywhere"]) > 0 {
		t.Errorf("problems: %q", tr.problems)
	}
	for host, want := range map[string]string{"b.secure.localhost": "wild", "A.Secure.localhost": "wild", "shop.localhost": "wild", "a.shop.localhost": "", "secure.localhost": ""} {
		got := ""
		if c := tr.table.certificate(host); c != nil {
			got = string(c.Certificate[0])
		}
		if got != want {
			t.Errorf("the certificate of %s is of Secret %q, want %q", host, got, want)
		}
	}
}

func TestAnnotationsOfIngressNginx(t *testing.T) {
	ingress := func(annotations, spec string) string {
		return "metadata: {name: web, annotations: {" + annotations + "}}\nspec: " + spec
	}
	path := func(kind, path string) string {
		return fmt.Sprintf(`{rules: [{host: h, http: {paths: [{path: %q, pathType: %s, backend: {service: {name: web, port: {number: 80}}}}]}}]}`, path, kind)
	}
	secured := `{tls: [{hosts: [h]}], rules: [{host: h, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}`
	const p = "nginx.ingress.kubernetes.io/"
	for _, c := range []struct {
		name, text, url, led string
		problems             []string
	}{
		{"regex", ingress(p+`use-regex: "true"`, path("ImplementationSpecific", "/v[0-9]+")), "h/v12/x", "web", nil},
		{"no regex", ingress("", path("ImplementationSpecific", "/v[0-9]+")), "h/v12/x", "-", nil},
		{"exact is none", ingress(p+`use-regex: "true"`, path("Exact", "/v[0-9]+")), "h/v12", "-", nil},
		{"rewrite is regex", ingress(p+"rewrite-target: /$1", path("Prefix", "/v(.*)")), "h/vx", "web", nil},
		{"broken regex", ingress(p+`use-regex: "true"`, path("Prefix", "/v(?=x)")), "h/vx", "-",
			[]string{"spec.rules[0].http.paths[0]: path \"/v(?=x)\" is no regular expression of Go's (https://golang.org/s/re2syntax): error parsing regexp: invalid or unsupported Perl syntax: `(?=`"}},
		{"TLS redirects", ingress("", secured), "h/", "web!", nil},
		{"unless told not to", ingress(p+`ssl-redirect: "false"`, secured), "h/", "web", nil},
		{"redirect only with TLS", ingress(p+`ssl-redirect: "true"`, path("Prefix", "/")), "h/", "web", nil},
		{"unless forced", ingress(p+`force-ssl-redirect: "true"`, path("Prefix", "/")), "h/", "web!", nil},
		{"wrong values", ingress(p+`ssl-redirect: maybe, `+p+`backend-protocol: FCGI, `+p+`proxy-body-size: huge`, secured), "h/", "web!", []string{
			`the annotation nginx.ingress.kubernetes.io/backend-protocol="FCGI" changes nothing: use HTTP, HTTPS, GRPC or GRPCS`,
			`the annotation nginx.ingress.kubernetes.io/proxy-body-size="huge" changes nothing: use a size such as 8m`,
			`the annotation nginx.ingress.kubernetes.io/ssl-redirect="maybe" changes nothing: strconv.ParseBool: parsing "maybe": invalid syntax`}},
		{"unknown", ingress(p+"limit-rps: '3', other.io/x: y", path("Prefix", "/")), "h/", "web",
			[]string{"the annotation nginx.ingress.kubernetes.io/limit-rps is not known here and changes nothing"}},
	} {
		tr := translated(t, c.text)
		if got := tr.led(c.url); got != c.led {
			t.Errorf("%s: led to %s, want %s", c.name, got, c.led)
		}
		if got := tr.problems["web"]; !slices.Equal(got, c.problems) {
			t.Errorf("%s: problems %q, want %q", c.name, got, c.problems)
		}
	}
}

func TestWhatIsWrongWithAnIngressIsSaid(t *testing.T) {
	tr := translated(t, `
metadata: {name: wrong}
spec:
  tls: [{hosts: [a.localhost, b.localhost], secretName: missing}]
  rules:
  - host: a.localhost
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: nowhere, port: {number: 80}}}}
      - {path: /bucket, pathType: Prefix, backend: {resource: {apiGroup: example.com, kind: Bucket, name: b}}}
  - host: b.localhost
`)
	want := []string{
		"spec.tls[0].secretName: the Secret default/missing does not exist; the instance's own CA signs for a.localhost, b.localhost meanwhile",
		"spec.rules[0].http.paths[0]: the Service default/nowhere does not exist",
		"spec.rules[0].http.paths[1]: a backend that is no Service cannot be served here",
		"spec.rules[1] has no paths, and there is no spec.defaultBackend",
	}
	if got := tr.problems["wrong"]; !slices.Equal(got, want) {
		t.Errorf("problems: %s", strings.Join(got, "\n"))
	}
}

func TestIssuedCertificatesAreKeptUntilTheyAreAboutToEnd(t *testing.T) {
	now, signed := time.Now(), 0
	i := newIssuer(func(host string) (*tls.Certificate, error) {
		signed++
		return selfSigned(host, now.Add(365*24*time.Hour))
	})
	i.now = func() time.Time { return now }
	for _, step := range []struct {
		after time.Duration
		host  string
		want  int
	}{{0, "a", 1}, {0, "a", 1}, {0, "b", 2}, {334 * 24 * time.Hour, "a", 2}, {24 * time.Hour, "a", 3}} {
		now = now.Add(step.after)
		if _, err := i.certificate(step.host); err != nil || signed != step.want {
			t.Errorf("%+v: %d signed, %v", step, signed, err)
		}
	}
}
