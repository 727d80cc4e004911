package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// A Pod with a readiness gate is Ready, and in its Service, only while somebody says so through the status subresource.
func TestAReadinessGateHoldsAPodBack(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "gates")
	ns.apply(t, `
apiVersion: v1
kind: Pod
metadata: {name: gated, labels: {app: gated}}
spec:
  terminationGracePeriodSeconds: 1
  readinessGates: [{conditionType: example.org/registered}]
  containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-serve, ":8080"]}]
---
apiVersion: v1
kind: Service
metadata: {name: gated}
spec: {selector: {app: gated}, ports: [{port: 80, targetPort: 8080}]}
`)
	const ready = `{.status.containerStatuses[0].ready} {.status.conditions[?(@.type=="ContainersReady")].status} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason} {.status.conditions[?(@.type=="Ready")].message}`
	say := func(status string) {
		t.Helper()
		ns.must(t, "patch", "pod", "gated", "--subresource=status", "--type=strategic",
			"--patch", fmt.Sprintf(`{"status": {"conditions": [{"type": "example.org/registered", "status": %q}]}}`, status))
	}
	ns.waitForValue(t, "pod/gated", ready, `true True False ReadinessGatesNotReady corresponding condition of pod readiness gate "example.org/registered" does not exist.`)
	ns.wantEndpoints(t, "gated", 0)
	if got := ns.must(t, "get", "pod", "gated", "--no-headers", "-o", "wide"); !strings.HasSuffix(strings.TrimSpace(got), "0/1") {
		t.Errorf("get pod -o wide shows no gate that is closed: %s", got)
	}
	say("True")
	ns.waitForValue(t, "pod/gated", ready, "true True True  ")
	ns.wantEndpoints(t, "gated", 1)
	say("False")
	ns.waitForValue(t, "pod/gated", ready, `true True False ReadinessGatesNotReady the status of pod readiness gate "example.org/registered" is not "True", but False`)
	ns.wantEndpoints(t, "gated", 0)
	if got := ns.value(t, "pod/gated", `{.status.conditions[?(@.type=="example.org/registered")].status}`); got != "False" {
		t.Errorf("the node's own writes made the condition %q", got)
	}
}
