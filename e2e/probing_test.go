package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The server of kube-lite-test/health, asked by gRPC. It does not heed SIGTERM: what ends it is a grace period.
const grpcPod = `
apiVersion: v1
kind: Pod
metadata: {name: talks-grpc}
spec:
  terminationGracePeriodSeconds: 600
  containers:
  - name: main
    image: kube-lite-test/health:latest
    imagePullPolicy: Never
    livenessProbe: {grpc: {port: 9000}, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 2}
    readinessProbe: {grpc: {port: 9000, service: app}, periodSeconds: 1, failureThreshold: 1}
`

func TestGRPCProbesAskForTheServiceThatTheyName(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "grpc")
	ns.apply(t, grpcPod)
	t.Cleanup(func() { ns.run(t, "delete", "pod", "talks-grpc", "--grace-period=1") })
	const seen = `{.status.conditions[?(@.type=="Ready")].status} {.status.containerStatuses[0].restartCount}`
	set := func(args ...string) {
		t.Helper()
		ns.must(t, append([]string{"exec", "talks-grpc", "--", "/health", "set"}, args...)...)
	}
	ns.waitForValue(t, "pod/talks-grpc", seen, "True 0")
	set("app", "NOT_SERVING")
	ns.waitForValue(t, "pod/talks-grpc", seen, "False 0")
	ns.waitForEvent(t, "talks-grpc", "Unhealthy", `Readiness probe failed: service unhealthy \(responded with "NOT_SERVING"\)`)
	set("app", "SERVING")
	ns.waitForValue(t, "pod/talks-grpc", seen, "True 0")

	began := time.Now()
	set("NOT_SERVING")
	// Long before the ten minutes of the Pod are over, and not before the two seconds of the probe are.
	ns.waitForValue(t, "pod/talks-grpc", seen, "True 1")
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("it was restarted after %v, want its 2 s", took)
	}
	ns.waitForEvent(t, "talks-grpc", "Unhealthy", `Liveness probe failed: service unhealthy \(responded with "NOT_SERVING"\)`)
	ns.waitForEvent(t, "talks-grpc", "Killing", "Container main failed liveness probe, will be restarted")
	if got := ns.value(t, "pod/talks-grpc", "{.status.containerStatuses[0].lastState.terminated.exitCode}"); got != "137" {
		t.Errorf("it ended with %s, want SIGKILL's 137", got)
	}
}

// httpsPod asks the same server by HTTPS; get is more of the probe.
func httpsPod(name, get string) string {
	return podOf(name, "terminationGracePeriodSeconds: 1", fmt.Sprintf(
		`ports: [{name: secure, containerPort: 8443}], readinessProbe: {httpGet: {scheme: HTTPS, path: /probe, %s}, periodSeconds: 1}`, get))
}

func TestHTTPSProbesSendWhatTheyDeclareAndTrustAnybody(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "https")
	const headers = `httpHeaders: [{name: Host, value: web.example}, {name: X-Probe, value: "yes"}]`
	server := func(pod string) string {
		return strings.NewReplacer("kube-lite-test/tool:latest", "kube-lite-test/health:latest", "IfNotPresent", "Never").Replace(pod)
	}
	ns.apply(t, server(httpsPod("declared", "port: secure, "+headers))+server(httpsPod("nameless", "port: 8443")))
	ns.waitForValue(t, "pod/declared", "{.status.containerStatuses[0].ready}", "true")
	ns.waitForEvent(t, "nameless", "Unhealthy", "^Readiness probe failed: HTTP probe failed with statuscode: 418\n$")
	// It does not serve itself: another Pod is asked in its place.
	ns.apply(t, httpsPod("elsewhere", fmt.Sprintf("port: secure, host: %s, %s", ns.value(t, "pod/declared", "{.status.podIP}"), headers)))
	ns.waitForValue(t, "pod/elsewhere", "{.status.containerStatuses[0].ready}", "true")
	if got := ns.value(t, "pod/nameless", "{.status.containerStatuses[0].ready}"); got != "false" {
		t.Errorf("the Pod whose probe sends no headers is ready: %s", got)
	}
}
