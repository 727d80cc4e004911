package why

import "testing"

func TestProbesAreExplainedByTheirLastAnswer(t *testing.T) {
	const runs = `ready: false, started: true, state: {running: {startedAt: "2026-01-01T11:50:00Z"}}`
	const asked = `, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {path: /ready, port: http}, timeoutSeconds: 2}`
	open := func(sockets string) map[string]string { return map[string]string{"listening/ns/web": sockets} }
	refused := onNode(runs, asked) + event("web", "Unhealthy", `Readiness probe failed: Get "http://10.0.0.2:8080/ready": dial tcp 10.0.0.2:8080: connect: connection refused`)
	checkAll(t, []fact{
		{name: "not asked yet", ask: "pod/web", state: Waiting, says: "container web is not ready: its readiness probe, GET http://POD:8080/ready, has not succeeded yet; it is asked 30 s after the start",
			api: onNode(runs, `, readinessProbe: {initialDelaySeconds: 30, httpGet: {path: /ready, port: 8080}}`)},
		{name: "an error", ask: "pod/web", state: Broken, says: "its readiness probe, GET http://POD:8080/ready, is answered with 503 Service Unavailable",
			api: onNode(runs, asked) + event("web", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")},
		{name: "too slow", ask: "pod/web", state: Broken, says: "has no answer within its timeoutSeconds, 2s",
			api: onNode(runs, asked) + event("web", "Unhealthy", `Readiness probe failed: Get "http://10.0.0.2": context deadline exceeded`)},
		{name: "refused, on a node that says no more", ask: "pod/web", state: Broken, says: "is refused: nothing listens there", api: refused},
		{name: "refused, since the program has another port", ask: "pod/web", state: Broken, says: "is refused: nothing listens on port 8080, the pod listens on 80/TCP",
			mends: "first set containers.0.readinessProbe.httpGet.port to 80, in the file of pod/web", api: refused, node: open(`[{"protocol":"TCP","address":"::","port":80}]`)},
		{name: "refused, since nothing listens", ask: "pod/web", state: Broken, says: "nothing listens on port 8080, nothing in the pod listens on any port", api: refused, node: open(`[]`)},
		{name: "refused, since it listens on localhost", ask: "pod/web", state: Broken, says: "port 8080 is open on localhost only", api: refused,
			node: open(`[{"protocol":"TCP","address":"127.0.0.1","port":8080}]`)},
		{name: "HTTP where HTTPS is asked for", ask: "pod/web", state: Broken, says: "asks for HTTPS and is answered with HTTP",
			api: onNode(runs, asked) + event("web", "Unhealthy", "Readiness probe failed: http: server gave HTTP response to HTTPS client")},
		{name: "a command", ask: "pod/web", state: Broken, says: `its readiness probe, the command "pg_isready", fails: no response`,
			api: onNode(runs, `, readinessProbe: {exec: {command: [pg_isready]}}`) + event("web", "Unhealthy", "Readiness probe failed: no response")},
		{name: "a command that is not there", ask: "pod/web", state: Broken, says: "cannot be run: the image has no such program",
			api: onNode(runs, `, readinessProbe: {exec: {command: [curl]}}`) + event("web", "Unhealthy", `Readiness probe errored and resulted in unknown state: exec failed: "curl": executable file not found in $PATH`)},
		{name: "gRPC", ask: "pod/web", state: Broken, says: "the gRPC health service at port 9000, fails: service unhealthy (responded with \"NOT_SERVING\")",
			api: onNode(runs, `, readinessProbe: {grpc: {port: 9000}}`) + event("web", "Unhealthy", `Readiness probe failed: service unhealthy (responded with "NOT_SERVING")`)},
		{name: "a startup probe", ask: "pod/web", state: Broken, says: "container web counts as not started: its startup probe, a connection to port 5432, is refused",
			api: onNode(`started: false, state: {running: {startedAt: "2026-01-01T11:50:00Z"}}`, `, startupProbe: {tcpSocket: {port: 5432}}`) + event("web", "Unhealthy", "Startup probe failed: connection refused")},
		{name: "a liveness probe", ask: "pod/web", state: Broken, says: "container web is restarted: its liveness probe, a connection to port 5432, has no answer within its timeoutSeconds, 1s",
			api: onNode(`restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 143, startedAt: "2026-01-01T11:59:50Z", finishedAt: "2026-01-01T11:59:59Z"}}`, `, livenessProbe: {tcpSocket: {port: 5432}}`) +
				event("web", "Unhealthy", "Liveness probe failed: dial tcp 10.0.0.2:5432: i/o timeout") + event("web", "Killing", "Container web failed liveness probe, will be restarted")},
		{name: "an end long before the probe failed", ask: "pod/web", state: Broken, says: "its program ends with an error (exit code 1)",
			api: onNode(`restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, startedAt: "2026-01-01T11:40:50Z", finishedAt: "2026-01-01T11:40:59Z"}}`, `, livenessProbe: {tcpSocket: {port: 5432}}`) +
				event("web", "Killing", "Container web failed liveness probe, will be restarted")},
	})
}
