package e2e

import (
	"strings"
	"testing"
)

func TestDaemonSetRollsOut(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "daemonset")
	ns.apply(t, `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [sleep], env: [{name: VERSION, value: one}]}]
`)
	version := func(want string) {
		t.Helper()
		ns.must(t, "rollout", "status", "daemonset/agent", "--timeout=60s")
		pod := ns.waitForPods(t, 1, "agent-[a-z0-9]{5}")[0]
		if got := strings.TrimSpace(ns.must(t, "exec", pod, "--", "/tool", "env", "VERSION")); got != want {
			t.Errorf("%s has version %q, want %s", pod, got, want)
		}
	}
	version("one")
	ns.must(t, "set", "env", "daemonset/agent", "VERSION=two")
	version("two")
	if got := ns.must(t, "rollout", "history", "daemonset/agent"); strings.Count(got, "<none>") != 2 {
		t.Errorf("history does not have two revisions: %s", got)
	}
	ns.must(t, "rollout", "undo", "daemonset/agent")
	version("one")
	if got := ns.value(t, "daemonset/agent", "{.status.desiredNumberScheduled} {.status.updatedNumberScheduled} {.status.numberAvailable}"); got != "1 1 1" {
		t.Errorf("Pods desired, updated and available are %q, want 1 of each", got)
	}
	ns.must(t, "delete", "daemonset", "agent")
	ns.waitUntilGone(t)
}
