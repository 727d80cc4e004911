package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// loaded is a Service of five pods. A pod that is to end answers for a moment more, as the documentation of rolling
// updates advises: whoever was sent to it before it left its Service is still served. It has to be longer than a change
// takes to the kernel, which with iptables was more than five seconds on two cores that 800 clients kept busy.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
const loaded = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: loaded}
spec:
  replicas: 5
  selector: {matchLabels: {app: loaded}}
  template:
    metadata: {labels: {app: loaded}}
    spec:
      containers:
      - name: server
        image: kube-lite-test/tool:latest
        imagePullPolicy: IfNotPresent
        args: [http-serve, ":8080", loaded]
        readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1, timeoutSeconds: 10}
        lifecycle: {preStop: {sleep: {seconds: 20}}}
---
apiVersion: v1
kind: Service
metadata: {name: loaded}
spec: {selector: {app: loaded}, ports: [{port: 80, targetPort: 8080}]}
`

// clients are how many request at once, each once a second on a new connection, from a pod and from the host. A machine at
// its limit lets them wait; lost is what is refused, reset or never answered.
const clients = 200

// It runs alone: 400 clients leave two cores little for other tests.
func TestSteadyLoadLosesNoRequest(t *testing.T) {
	for _, mode := range []string{"nftables", "iptables"} {
		t.Run(mode, func(t *testing.T) {
			i := startInstance(t, "--proxy-mode="+mode)
			ns := namespace{"default", i}
			ns.apply(t, loaded)
			ns.must(t, "rollout", "status", "deployment/loaded", "--timeout=120s")
			// By its address: who asks for its name while there is no daemon has to ask again.
			url := "http://" + ns.value(t, "service/loaded", "{.spec.clusterIP}")
			ns.apply(t, loadPod("from-pod", "false", url)+loadPod("from-host", "true", url))
			ns.must(t, "wait", "--for=condition=Ready", "pod/from-pod", "pod/from-host", "--timeout=60s")

			ns.must(t, "rollout", "restart", "deployment/loaded")
			ns.must(t, "rollout", "status", "deployment/loaded", "--timeout=300s")
			i.kill(t)
			if err := i.up(); err != nil {
				t.Fatal(err)
			}
			// A restart that comes to its end shows that the daemon works again.
			ns.must(t, "rollout", "restart", "deployment/loaded")
			ns.must(t, "rollout", "status", "deployment/loaded", "--timeout=300s")
			for _, pod := range []string{"from-pod", "from-host"} {
				if requests, failures, report := ns.endLoad(t, pod); failures > 0 || requests < 10*clients {
					t.Errorf("%s: %d of %d requests failed:\n%s", pod, failures, requests, report)
				}
			}
		})
	}
}

// loadPod requests url with many clients, from a network of its own or the host's.
func loadPod(name, hostNetwork, url string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s}
spec:
  hostNetwork: %[2]s
  restartPolicy: Never
  containers:
  - name: client
    image: kube-lite-test/tool:latest
    imagePullPolicy: IfNotPresent
    args: [load, -clients=%[3]d, -pause=1s, -timeout=1m, -least=10, %[4]q]
---
`, name, hostNetwork, clients, url)
}

var loadReport = regexp.MustCompile(`requests=(\d+) failures=(\d+)\n`)

// endLoad ends a load and returns what it counted, and the last lines of what it printed.
func (n namespace) endLoad(t *testing.T, pod string) (requests, failures int, report string) {
	t.Helper()
	n.run(t, "exec", pod, "--", "/tool", "terminate") // the exit code is nobody's: it ends what it runs in
	eventually(t, func() error {
		if phase := n.value(t, "pod/"+pod, "{.status.phase}"); phase != "Succeeded" && phase != "Failed" {
			return fmt.Errorf("%s is %s", pod, phase)
		}
		return nil
	})
	report = n.must(t, "logs", pod, "--tail=20")
	counts := loadReport.FindStringSubmatch(report)
	if counts == nil {
		t.Fatalf("%s has printed no report: %s", pod, report)
	}
	requests, _ = strconv.Atoi(counts[1])
	failures, _ = strconv.Atoi(counts[2])
	return requests, failures, strings.TrimSpace(report)
}
