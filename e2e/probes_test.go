package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manifest writes a manifest and applies it.
func (n namespace) manifest(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	n.must(t, "apply", "-f", path)
}

// A sidecar that the others wait for, an init container, probes of three kinds and both hooks: all that a start and an
// end can have.
const richPod = `
apiVersion: v1
kind: Pod
metadata: {name: rich, labels: {app: rich}}
spec:
  terminationGracePeriodSeconds: 20
  initContainers:
  - name: proxy
    image: kube-lite-test/tool
    imagePullPolicy: Never
    restartPolicy: Always
    args: [http-serve, ":9000", proxy]
    startupProbe: {httpGet: {port: 9000, path: /}}
  - name: init
    image: kube-lite-test/tool
    imagePullPolicy: Never
    args: [http-get, "http://localhost:9000/"]
  containers:
  - name: app
    image: kube-lite-test/tool
    imagePullPolicy: Never
    args: [http-serve, ":8080", hello]
    ports: [{name: http, containerPort: 8080}]
    livenessProbe: {httpGet: {port: http, path: /}, periodSeconds: 1}
    readinessProbe: {exec: {command: [/tool, cat, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
    lifecycle:
      postStart: {exec: {command: [/tool, write, /tmp/started, "yes"]}}
      preStop: {httpGet: {port: http, path: /stop}}
---
apiVersion: v1
kind: Service
metadata: {name: rich}
spec:
  selector: {app: rich}
  ports: [{port: 80, targetPort: http}]
`

func TestAPodWithEverythingThatAStartCanHave(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "rich")
	ns.manifest(t, richPod)
	endpoints := func(want int) {
		t.Helper()
		eventually(t, func() error {
			got := ns.must(t, "get", "endpoints", "rich", "-o", "jsonpath={.subsets[*].addresses[*].ip}")
			if len(strings.Fields(got)) != want {
				return fmt.Errorf("the Service has the endpoints %q, want %d", got, want)
			}
			return nil
		})
	}
	eventually(t, func() error {
		got := ns.must(t, "get", "pod", "rich", "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].started} {.status.containerStatuses[0].ready}")
		if got != "Running true false" {
			return fmt.Errorf("before it is ready the Pod is %q", got)
		}
		return nil
	})
	endpoints(0)
	if got := ns.must(t, "exec", "rich", "-c", "app", "--", "/tool", "cat", "/tmp/started"); got != "yes" {
		t.Errorf("the postStart hook left %q", got)
	}
	if got := ns.must(t, "logs", "rich", "-c", "init"); got != "proxy" && got != "proxy\n" {
		t.Errorf("the init container got %q from the sidecar", got)
	}
	eventually(t, func() error {
		if got := ns.must(t, "describe", "pod", "rich"); !strings.Contains(got, "Readiness probe failed: ") {
			return fmt.Errorf("no event of the probe that failed:\n%s", got)
		}
		return nil
	})
	ns.must(t, "exec", "rich", "-c", "app", "--", "/tool", "write", "/tmp/ready", "yes")
	ns.must(t, "wait", "--for=condition=Ready", "pod/rich", "--timeout=60s")
	endpoints(1)
	log := ns.follow(t, "logs", "rich", "-c", "proxy", "--follow")
	ns.must(t, "delete", "pod", "rich", "--timeout=60s")
	log.waitUntilEnded(t)
}

func TestAContainerThatHangsIsRestarted(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "hangs")
	ns.manifest(t, `
apiVersion: v1
kind: Pod
metadata: {name: hangs}
spec:
  containers:
  - name: app
    image: kube-lite-test/tool
    imagePullPolicy: Never
    args: [sleep]
    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 2, terminationGracePeriodSeconds: 1}
`)
	eventually(t, func() error {
		got := ns.must(t, "get", "pod", "hangs", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
		if got == "" || got == "0" {
			return fmt.Errorf("it has restarted %q times", got)
		}
		return nil
	})
	got := ns.must(t, "describe", "pod", "hangs")
	for _, want := range []string{"Liveness probe failed: dial tcp ", "Container app failed liveness probe, will be restarted"} {
		if !strings.Contains(got, want) {
			t.Errorf("describe does not say %q:\n%s", want, got)
		}
	}
}

// What a debugger says is seen, however soon it ends.
func TestDebugShowsAllThatADebuggerSays(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "debug-said")
	image := []string{"-i", "--quiet", "--image=kube-lite-test/shell:latest", "--image-pull-policy=Never"}
	ns.must(t, "run", "web", "--image=kube-lite-test/tool:latest", "--image-pull-policy=Never", "--", "sleep")
	ns.waitForPods(t, 1, "web")
	node := "node/" + ns.value(t, "pod/web", "{.spec.nodeName}")
	for _, target := range []string{"web", "web", "web", node, node} {
		if got := ns.must(t, append(append([]string{"debug", target}, image...), "--", "sh", "-c", "echo all of it; [ ! -e /host/proc/1 ] || echo of the host")...); !strings.HasPrefix(got, "all of it\n") ||
			strings.Contains(got, "of the host") != (target == node) {
			t.Errorf("debug %s shows %q", target, got)
		}
	}
}

func TestDebugSeesTheProcessesOfItsTarget(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "debug")
	ns.must(t, "run", "web", "--image=kube-lite-test/tool:latest", "--image-pull-policy=Never", "--", "http-serve", ":8080", "hello")
	ns.must(t, "wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
	got := ns.must(t, "debug", "web", "-i", "--quiet", "--image=gihyodocker/fundamental:0.1.0", "--image-pull-policy=Never", "--target=web", "--container=debugger",
		"--", "sh", "-c", `cat /proc/1/cmdline; echo; curl -s localhost:8080`)
	if !strings.Contains(got, "http-serve") || !strings.Contains(got, "hello") {
		t.Errorf("the debugger sees %q", got)
	}
	eventually(t, func() error {
		got := ns.must(t, "get", "pod", "web", "-o", "jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].restartCount}")
		if got != "Completed 0" {
			return fmt.Errorf("afterwards the Pod is %q", got)
		}
		return nil
	})
}
