package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestScenario6NamespacesKeepNamesApart(t *testing.T) {
	t.Parallel()
	red, blue := newNamespace(t, "scenario6-red"), newNamespace(t, "scenario6-blue")
	for _, ns := range []namespace{red, blue} {
		ns.apply(t, textServer("same", ns.name))
	}
	for _, ns := range []namespace{red, blue} {
		ns.waitForPods(t, 1, "same-.*")
		waitForAnswer(t, "http://"+ns.value(t, "service/same", "{.spec.clusterIP}"), ns.name)
	}

	t.Run("a short name means one's own namespace", func(t *testing.T) {
		for _, ns := range []namespace{red, blue} {
			if got := ns.must(t, "exec", "deployment/same", "--", "/tool", "http-get", "http://same"); got != ns.name+"\n" {
				t.Errorf("in %s http://same answers %q", ns.name, got)
			}
		}
	})
	t.Run("a longer name reaches the other", func(t *testing.T) {
		if got := red.must(t, "exec", "deployment/same", "--", "/tool", "http-get", "http://same."+blue.name); got != blue.name+"\n" {
			t.Errorf("in %s http://same.%s answers %q", red.name, blue.name, got)
		}
	})
	t.Run("deleting one removes all in it and nothing else", func(t *testing.T) {
		cluster.do("delete", "namespace", red.name)
		eventually(t, func() error {
			got := cluster.run(t, "", "get", "namespace", red.name)
			if got.code == 0 || !strings.Contains(got.stderr, "NotFound") {
				return fmt.Errorf("get namespace %s: %s%s", red.name, got.stdout, got.stderr)
			}
			return nil
		})
		if left := red.must(t, "get", "deployment,replicaset,pod,service,endpointslice,configmap,event", "-o", "name"); left != "" {
			t.Errorf("there is still %s", left)
		}
		red.waitUntilGone(t)
		waitForAnswer(t, "http://"+blue.value(t, "service/same", "{.spec.clusterIP}"), blue.name)
	})
}

// textServer is a Deployment and a Service that answer with text.
func textServer(name, text string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
spec:
  selector:
    matchLabels: {app: %[1]s}
  template:
    metadata:
      labels: {app: %[1]s}
    spec:
      containers:
      - name: server
        image: kube-lite-test/tool:latest
        imagePullPolicy: IfNotPresent
        args: [http-serve, ":8080", %[2]q]
---
apiVersion: v1
kind: Service
metadata:
  name: %[1]s
spec:
  selector: {app: %[1]s}
  ports:
  - port: 80
    targetPort: 8080
`, name, text)
}
