package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// guarded is a Deployment of which no more than one Pod may be missing.
const guarded = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [sleep]}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [sleep]}]
`

// On the only node, an evicted Pod's successor has no place until the node takes Pods again: the budget holds the drain
// back until then, and lets it end afterwards.
func TestDrainHonoursADisruptionBudget(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	ns := namespace{"default", i}
	ns.apply(t, guarded)
	before := ns.waitForPods(t, 3, "web-.*", "--selector=app=web")
	agent := ns.waitForPods(t, 1, "agent-.*", "--selector=app=agent")[0]
	ns.waitForValue(t, "pdb/web", "{.status.currentHealthy} {.status.desiredHealthy} {.status.disruptionsAllowed}", "3 2 1")
	node := ns.value(t, "nodes", "{.items[0].metadata.name}")
	if got := ns.run(t, "drain", node); got.code == 0 || !strings.Contains(got.stderr, "cannot delete DaemonSet-managed Pods") {
		t.Errorf("drain without --ignore-daemonsets: exit code %d, %s", got.code, got.stderr)
	}
	ns.must(t, "uncordon", node)
	available := ns.follow(t, "get", "deployment", "web", "--watch", "-o", `jsonpath={.status.availableReplicas}{"\n"}`)

	drained := i.drain(t, node)
	ns.waitForValue(t, "pods", `{.items[?(@.status.phase=="Pending")].status.conditions[?(@.type=="PodScheduled")].reason}`, "Unschedulable")
	ns.waitForValue(t, "deployment/web", "{.status.availableReplicas}", "2")
	ns.must(t, "uncordon", node)
	end := <-drained
	if end.err != nil || !strings.Contains(end.output, "drained") || !strings.Contains(end.output, "violate the pod's disruption budget") {
		t.Errorf("drain ended with %v, and said:\n%s", end.err, end.output)
	}
	after := ns.waitForPods(t, 3, "web-.*", "--selector=app=web")
	for _, pod := range before {
		if strings.Contains(strings.Join(after, " "), pod) {
			t.Errorf("%s was not evicted", pod)
		}
	}
	if got := ns.waitForPods(t, 1, "agent-.*", "--selector=app=agent")[0]; got != agent {
		t.Errorf("the DaemonSet's Pod was %s and is %s", agent, got)
	}
	for len(available.lines) > 0 {
		if line := <-available.lines; line != "3" && line != "2" {
			t.Errorf("meanwhile %q Pods were available, want 2 at least", line)
		}
	}
}

// drained is how a drain ended.
type drained struct {
	output string
	err    error
}

// drain drains a node while the test goes on.
func (i *instance) drain(t *testing.T, node string) <-chan drained {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	ended := make(chan drained, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, err := i.command(ctx, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data").CombinedOutput()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		ended <- drained{string(out), err}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return ended
}
