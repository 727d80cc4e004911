package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestQuotaRefusesInUpstreamsWords(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "quota")
	ns.must(t, "create", "quota", "few", "--hard=pods=2,requests.cpu=100m,services=1,persistentvolumeclaims=1,requests.storage=1Gi")
	ns.waitForValue(t, "quota/few", "{.status.hard.pods} {.status.used.pods}", "2 0")
	refused := func(want, manifest string) {
		t.Helper()
		got := ns.in.run(t, manifest, ns.args([]string{"create", "-f", "-"})...)
		if got.code != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("exit code %d, %q; want 1 and %q", got.code, got.stderr, want)
		}
	}
	// Before any Pod starts: upstream's controller counts anew then, and may not have seen what is this young.
	ns.apply(t, service("only", "ports: [{port: 80}]"))
	refused("exceeded quota: few, requested: services=1, used: services=1, limited: services=1", service("another", "ports: [{port: 80}]"))
	const small, large = `args: [sleep], resources: {requests: {cpu: 50m}}`, `args: [sleep], resources: {requests: {cpu: 101m}}`
	refused("failed quota: few: must specify requests.cpu for: main", podOf("vague", "restartPolicy: Never", "args: [sleep]"))
	refused("exceeded quota: few, requested: requests.cpu=101m, used: requests.cpu=0, limited: requests.cpu=100m", podOf("large", "restartPolicy: Never", large))
	ns.apply(t, podOf("first", "terminationGracePeriodSeconds: 1", small)+podOf("second", "terminationGracePeriodSeconds: 1", small))
	refused("exceeded quota: few, requested: pods=1,requests.cpu=50m, used: pods=2,requests.cpu=100m, limited: pods=2,requests.cpu=100m", podOf("third", "restartPolicy: Never", small))
	refused("exceeded quota: few, requested: requests.storage=2Gi, used: requests.storage=0, limited: requests.storage=1Gi", claim("big", "resources: {requests: {storage: 2Gi}}"))

	t.Run("a controller says it in an event", func(t *testing.T) {
		ns.must(t, "create", "deployment", "web", "--image=kube-lite-test/tool:latest")
		eventually(t, func() error {
			if events := ns.must(t, "get", "events", "--field-selector=reason=FailedCreate"); !strings.Contains(events, "failed quota: few: must specify requests.cpu for: tool") {
				return fmt.Errorf("the events are %s", events)
			}
			return nil
		})
	})
	t.Run("a Pod that is gone makes room", func(t *testing.T) {
		ns.must(t, "delete", "pod/first", "deployment/web")
		ns.waitForValue(t, "quota/few", "{.status.used.pods} {.status.used.requests\\.cpu}", "1 50m")
		ns.apply(t, podOf("third", "terminationGracePeriodSeconds: 1", small))
	})
	t.Run("a LimitRange gives what nobody asked for", func(t *testing.T) {
		ns.must(t, "delete", "pod", "third")
		ns.apply(t, `{apiVersion: v1, kind: LimitRange, metadata: {name: usual}, spec: {limits: [{type: Container, defaultRequest: {cpu: 20m}}]}}`)
		ns.waitForValue(t, "quota/few", "{.status.used.pods}", "1")
		ns.apply(t, podOf("vague", "terminationGracePeriodSeconds: 1", "args: [sleep]"))
		if got := ns.value(t, "pod/vague", "{.spec.containers[0].resources.requests.cpu}"); got != "20m" {
			t.Errorf("it requests %q of CPU, want 20m", got)
		}
	})
}
