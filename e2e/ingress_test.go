package e2e

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An app behind an Ingress, as a developer has it on a laptop.
const ingressApp = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: kube-lite-test/tool:latest
        imagePullPolicy: IfNotPresent
        args: [http-serve, ":8080", served]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  tls: [{hosts: [secure.localhost]}]
  rules:
  - host: localhost
    http: {paths: [{path: /routed, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
  - host: secure.localhost
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
---
`

func TestIngressesAreServedOnLocalhost(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "routed")
	ns.apply(t, ingressApp)
	ns.waitForValue(t, "ingress/web", "{.status.loadBalancer.ingress[0].ip}", `^127\.0\.0\.1$`)
	ingress, _ := cluster.status(t)["ingress"].(map[string]any)
	plain, _ := ingress["http"].(string)
	secured, _ := ingress["https"].(string)
	if got := ns.value(t, "ingress", "{.items[0].spec.ingressClassName}"); got != "kube-lite" {
		t.Errorf("the class is %q, want kube-lite by default", got)
	}
	ns.waitForEvent(t, "web", "Routed", "Reachable at "+plain+", "+strings.Replace(secured, "localhost", "secure.localhost", 1))
	ns.must(t, "rollout", "status", "deployment/web", "--timeout=60s")
	waitForAnswer(t, plain+"/routed", "served")
	at, err := url.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	port := at.Port()
	if port == "" {
		port = "80"
	}
	if conn, err := net.Dial("tcp6", net.JoinHostPort("::1", port)); err != nil {
		t.Errorf("localhost is not served over IPv6: %v", err)
	} else {
		conn.Close()
	}

	t.Run("a rolling update loses no request", func(t *testing.T) {
		client := requestAllTheTime(t, plain+"/routed")
		client.waitForMore(t, 50)
		ns.must(t, "rollout", "restart", "deployment/web")
		ns.must(t, "rollout", "status", "deployment/web", "--timeout=120s")
		client.waitForMore(t, 50)
		client.check(t)
	})
	t.Run("a host has a certificate that trust prints the authority of", func(t *testing.T) {
		authority := filepath.Join(t.TempDir(), "ca.crt")
		if err := os.WriteFile(authority, []byte(cluster.run(t, "", "trust").stdout), 0o600); err != nil {
			t.Fatal(err)
		}
		// curl knows that *.localhost is this machine (RFC 6761, section 6.3).
		out, err := exec.Command("curl", "-sS", "-L", "--cacert", authority, strings.Replace(plain, "localhost", "secure.localhost", 1)).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "served" {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("no other address of this machine is served", func(t *testing.T) {
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addresses {
			ip := a.(*net.IPNet).IP
			if ip.IsLoopback() || ip.To4() == nil {
				continue
			}
			if _, _, err := get(fmt.Sprintf("http://%s:%s/routed", ip, port)); err == nil {
				t.Errorf("%s is answered too", ip)
			}
		}
	})
	ns.must(t, "delete", "ingress", "web")
	eventually(t, func() error {
		if body, _, err := get(plain + "/routed"); err == nil {
			return fmt.Errorf("still answered with %q", body)
		}
		return nil
	})
}
