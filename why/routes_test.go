package why

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

const classes = `---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx}
spec: {controller: example.com/nginx}
`

func TestIngresses(t *testing.T) {
	ingress := func(spec, status string) string {
		return aService(selects, "True") + classes + `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {` + spec + `}
status: {` + status + `}
`
	}
	const served = `loadBalancer: {ingress: [{ip: 127.0.0.1}]}`
	const none = ""
	rule := func(backend string) string {
		return `rules: [{host: shop.example, http: {paths: [{path: /api, backend: {service: {` + backend + `}}}]}}]`
	}
	const good = `name: web, port: {number: 80}`
	checkAll(t, []fact{
		{name: "served", ask: "ingress/web", state: OK, says: "is served, and its Services answer", api: ingress(rule(good), served)},
		{name: "no such Service", ask: "ingress/web", state: Broken, says: `its rule for shop.example/api leads to the Service "wbe", which does not exist; there is "web"`, api: ingress(rule(`name: wbe, port: {number: 80}`), served)},
		{name: "no such port", ask: "ingress/web", state: Broken, says: `leads to port 8080 of the Service "web", which has no such port; it has 80`, api: ingress(rule(`name: web, port: {number: 8080}`), served)},
		{name: "no port of the name", ask: "ingress/web", state: Broken, says: `leads to port "http" of the Service "web", which has no such port`, api: ingress(rule(`name: web, port: {name: http}`), served)},
		{name: "a default backend", ask: "ingress/web", state: Broken, says: `its default backend leads to the Service "none", which does not exist`, api: ingress(`defaultBackend: {service: {name: none, port: {number: 80}}}`, served)},
		{name: "no such class", ask: "ingress/web", state: Broken, says: `its IngressClass "ngnix" does not exist; there is "nginx", and nobody serves it`, mends: `"ingressClassName":"nginx"`, api: ingress(`ingressClassName: ngnix, `+rule(good), none)},
		{name: "a class that nobody serves", ask: "ingress/web", state: Broken, says: `leaves it to the controller "example.com/nginx", which has given it no address`, api: ingress(`ingressClassName: nginx, `+rule(good), none)},
		{name: "no class", ask: "ingress/web", state: Broken, says: "names no IngressClass, and none is the default, so nobody serves it", api: ingress(rule(good), none)},
		{name: "no certificate", ask: "ingress/web", state: Broken, says: `the certificate of shop.example is to be in the Secret "shop-tls", which does not exist`, mends: "kube-lite create secret tls shop-tls",
			api: ingress(`tls: [{hosts: [shop.example], secretName: shop-tls}], `+rule(good), served)},
	})
	for name, f := range map[string]struct {
		data, says string
		state      State
	}{
		"half a certificate":           {"tls.key: aGFsZg==", `has no key "tls.crt"`, Broken},
		"no certificate at all":        {"tls.crt: bm9uZQ==, tls.key: bm9uZQ==", "holds no certificate with its key", Broken},
		"one for another host":         {certificate(t, "other.example", noon.Add(time.Hour)), "is not one for shop.example: it names other.example", Broken},
		"one that is out of date":      {certificate(t, "shop.example", noon.Add(-48*time.Hour)), `in the Secret "shop-tls" has been out of date for 2d`, Broken},
		"one that is good":             {certificate(t, "shop.example", noon.Add(time.Hour)), "is served", OK},
		"one that is good by its sign": {certificate(t, "*.example", noon.Add(time.Hour)), "is served", OK},
	} {
		checkAll(t, []fact{{name: name, ask: "ingress/web", state: f.state, says: f.says, api: ingress(`tls: [{hosts: [shop.example], secretName: shop-tls}], `+rule(good), served) + `---
apiVersion: v1
kind: Secret
metadata: {name: shop-tls}
data: {` + f.data + `}`}})
	}
}

// certificate is the data of a Secret.
func certificate(t *testing.T, host string, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: until.Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	in := func(kind string, bytes []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return "tls.crt: " + in("CERTIFICATE", der) + ", tls.key: " + in("EC PRIVATE KEY", private)
}

func TestGateways(t *testing.T) {
	gateway := func(class, status string) string {
		return aService(selects, "True") + `---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: kube-lite}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec: {gatewayClassName: ` + class + `}
status: {` + status + `}
`
	}
	route := func(parent, backend, status string) string {
		return `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: ` + parent + `}], rules: [{backendRefs: [{` + backend + `}]}]}
status: {` + status + `}
`
	}
	const well = `conditions: [{type: Accepted, status: "True"}, {type: Programmed, status: "True"}]`
	accepted := `parents: [{conditions: [{type: Accepted, status: "True"}, {type: ResolvedRefs, status: "True"}]}]`
	checkAll(t, []fact{
		{name: "a gateway that is well", ask: "gateway/web", state: OK, says: "is accepted and programmed", api: gateway("kube-lite", well)},
		{name: "no such class", ask: "gateway/web", state: Broken, says: `its GatewayClass "kubelite" does not exist; there is "kube-lite"`, api: gateway("kubelite", "")},
		{name: "nobody looks", ask: "gateway/web", state: Waiting, says: `no controller of its class "kube-lite" has looked at it`, api: gateway("kube-lite", "")},
		{name: "a port of others", ask: "gateway/web", state: Broken, says: "its listener http does not work: Programmed is False, PortUnavailable: port 80 is taken",
			api: gateway("kube-lite", `conditions: [{type: Programmed, status: "False"}], listeners: [{name: http, conditions: [{type: Programmed, status: "False", reason: PortUnavailable, message: port 80 is taken}]}]`)},
		{name: "not programmed", ask: "gateway/web", state: Broken, says: "its condition Programmed is False, Off: nothing serves it", api: gateway("kube-lite", `conditions: [{type: Programmed, status: "False", reason: "Off", message: nothing serves it}]`)},
		{name: "a route that is well", ask: "route/web", state: OK, says: "is accepted by its Gateway, and its Services answer", api: gateway("kube-lite", well) + route("web", "name: web, port: 80", accepted)},
		{name: "no such gateway", ask: "route/web", state: Broken, says: `names the Gateway "wbe" of namespace ns, which does not exist; there is "web"`, api: gateway("kube-lite", well) + route("wbe", "name: web, port: 80", "")},
		{name: "no such Service", ask: "route/web", state: Broken, says: `its rule 1 leads to the Service "wbe", which does not exist; there is "web"`, api: gateway("kube-lite", well) + route("web", "name: wbe, port: 80", accepted)},
		{name: "no such port", ask: "route/web", state: Broken, says: `its rule 1 leads to port 81 of the Service "web", which has no such port; it has 80`, api: gateway("kube-lite", well) + route("web", "name: web, port: 81", accepted)},
		{name: "not accepted", ask: "route/web", state: Broken, says: "its Gateway does not take it as it is: Accepted is False, NoMatchingListenerHostname: no host",
			api: gateway("kube-lite", well) + route("web", "name: web, port: 80", `parents: [{conditions: [{type: Accepted, status: "False", reason: NoMatchingListenerHostname, message: no host}]}]`)},
		{name: "nobody looked at it", ask: "route/web", state: Waiting, says: "no controller has looked at it: its status has no parents", api: gateway("kube-lite", well) + route("web", "name: web, port: 80", "")},
	})
}
