package e2e

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Two versions of an app behind a Gateway, as a developer has them on a laptop.
const gatewayApp = `
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: one}}
spec: {containers: [{name: web, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-serve, ":8080", one]}]}
---
apiVersion: v1
kind: Service
metadata: {name: one}
spec: {selector: {app: one}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two, labels: {app: two}}
spec: {containers: [{name: web, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-serve, ":8080", two]}]}
---
apiVersion: v1
kind: Service
metadata: {name: two}
spec: {selector: {app: two}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: kube-lite
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, hostname: gated.localhost, tls: {options: {kube-lite.io/certificate: instance}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: web}]
  hostnames: [gated.localhost]
  rules:
  - matches: [{headers: [{name: X-Version, value: "2"}]}]
    backendRefs: [{name: two, port: 80}]
  - matches: [{path: {value: /both}}]
    backendRefs: [{name: one, port: 80, weight: 1}, {name: two, port: 80, weight: 1}]
  - backendRefs: [{name: one, port: 80}]
---
`

func TestGatewaysAreServedOnLocalhost(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "gated")
	ns.apply(t, gatewayApp) // nobody has installed the definitions
	ns.must(t, "wait", "--for=condition=Programmed", "gateway/web", "--timeout=60s")
	ns.must(t, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
	ingress, _ := cluster.status(t)["ingress"].(map[string]any)
	plain, _ := ingress["http"].(string)
	secured, _ := ingress["https"].(string)
	plain, secured = strings.Replace(plain, "localhost", "gated.localhost", 1), strings.Replace(secured, "localhost", "gated.localhost", 1)
	own := ns.value(t, "gateway/web", "{.status.addresses[0].value}")
	waitForCurl(t, "one", plain)

	ask := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("curl", append([]string{"-sS", "--max-time", "10"}, args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("curl %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := ask("-H", "X-Version: 2", plain); got != "two" {
		t.Errorf("the header leads to %q", got)
	}
	if got := ask("-H", "Host: gated.localhost", (&url.URL{Scheme: "http", Host: own, Path: "/"}).String()); got != "one" {
		t.Errorf("the Gateway's own address leads to %q", got)
	}
	answers := map[string]int{}
	for range 60 {
		answers[ask(plain+"/both")]++
	}
	if answers["one"] < 10 || answers["two"] < 10 {
		t.Errorf("two backends of the same weight get %v of 60 requests", answers)
	}
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, []byte(cluster.run(t, "", "trust").stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ask("--cacert", authority, secured); got != "one" {
		t.Errorf("HTTPS leads to %q", got)
	}
}

func TestGatewaysSayThatNothingServesThem(t *testing.T) {
	t.Parallel()
	i := startInstance(t, "--http-ports", "off")
	must := func(stdin string, args ...string) string {
		t.Helper()
		got := i.run(t, stdin, args...)
		if got.code != 0 {
			t.Fatalf("kube-lite %v: %s%s", args, got.stdout, got.stderr)
		}
		return got.stdout
	}
	must(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec: {gatewayClassName: kube-lite, listeners: [{name: http, port: 80, protocol: HTTP}]}
`, "apply", "-f", "-")
	eventually(t, func() error {
		got := must("", "get", "gateway/web", "-o", `jsonpath={.status.conditions[?(@.type=="Programmed")].message}`)
		if !strings.Contains(got, "--http-ports=off") {
			return fmt.Errorf("the Gateway says %q", got)
		}
		return nil
	})
}

// waitForCurl asks until the answer is what is wanted; curl knows that *.localhost is this machine.
func waitForCurl(t *testing.T, want, url string) {
	t.Helper()
	eventually(t, func() error {
		out, _ := exec.Command("curl", "-sS", "--max-time", "5", url).CombinedOutput()
		if got := strings.TrimSpace(string(out)); got != want {
			return fmt.Errorf("%s answers %q, want %q", url, got, want)
		}
		return nil
	})
}
