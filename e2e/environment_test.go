package e2e

import (
	"slices"
	"strings"
	"testing"
)

// Services reach a Pod's variables unless it wants none; the API server's always do. What envFrom brings may have any
// name that the API allows, with the prefix before it.
func TestVariablesOfServicesAndSources(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "variables")
	ns.must(t, "create", "service", "clusterip", "web-site", "--tcp=80:8080")
	ns.must(t, "create", "configmap", "settings", "--from-literal=COLOR=red", "--from-literal=odd.name-1=blue", "--from-literal=1st=green")
	ns.must(t, "create", "secret", "generic", "keys", "--from-literal=COLOR=gold")
	const from = `envFrom: [{configMapRef: {name: settings}}, {prefix: "CM_", configMapRef: {name: settings}}, {prefix: "a-b.", secretRef: {name: keys}},
		{secretRef: {name: keys}}, {configMapRef: {name: nowhere, optional: true}}], env: [{name: SUM, value: "$(CM_COLOR) $(odd.name-1)"}], args: [env]`
	ns.apply(t, podOf("linked", "restartPolicy: Never", from)+podOf("unlinked", "restartPolicy: Never, enableServiceLinks: false", from))
	variables := map[string][]string{}
	for _, pod := range []string{"linked", "unlinked"} {
		ns.waitForValue(t, "pod/"+pod, "{.status.phase}", "Succeeded")
		variables[pod] = strings.Split(ns.must(t, "logs", pod), "\n")
		for _, want := range []string{
			"COLOR=gold", "odd.name-1=blue", "1st=green", "CM_COLOR=red", "CM_odd.name-1=blue", "CM_1st=green", "a-b.COLOR=gold", "SUM=red blue",
			"KUBERNETES_SERVICE_PORT=443",
		} {
			if !slices.Contains(variables[pod], want) {
				t.Errorf("%s has no %s among %q", pod, want, variables[pod])
			}
		}
	}
	has := func(pod string) bool {
		return slices.Contains(variables[pod], "WEB_SITE_SERVICE_HOST="+ns.value(t, "service/web-site", "{.spec.clusterIP}"))
	}
	if !has("linked") || has("unlinked") {
		t.Errorf("the Service's address is known to the linked Pod: %v, to the other: %v", has("linked"), has("unlinked"))
	}
}
