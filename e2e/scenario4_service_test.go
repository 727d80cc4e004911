package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestScenario4ServiceBalancesOverTheSelectedPods(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "scenario4")
	ns.must(t, "apply", "-f", "testdata/simple-replicaset-with-label.yaml", "-f", "testdata/simple-service.yaml")
	ns.waitForPods(t, 1, "echo-spring-[a-z0-9]{5}", "--selector=release=spring")
	ns.waitForPods(t, 2, "echo-summer-[a-z0-9]{5}", "--selector=release=summer")
	clusterIP := "http://" + ns.value(t, "service/echo", "{.spec.clusterIP}")
	waitForAnswer(t, clusterIP, greeting)

	t.Run("a pod curls the Service by each of its names", ns.testNames)
	t.Run("run passes the exit code on and removes the pod", func(t *testing.T) {
		got := ns.run(t, "run", "ends", "-i", "--rm", "--image=gihyodocker/fundamental:0.1.0", "--restart=Never", "--", "sh", "-c", "exit 5")
		if got.code != 5 {
			t.Errorf("exit code is %d, want 5: %s", got.code, got.stderr)
		}
		if pods := ns.pods(t, "--selector=run=ends"); len(pods) != 0 {
			t.Errorf("there is still %v", pods)
		}
	})
	t.Run("requests spread over the summer pods alone", func(t *testing.T) {
		hosts := answerers(t, clusterIP)
		if len(hosts) != 2 {
			t.Errorf("answers came from %v, want both summer pods", hosts)
		}
		if logs := ns.must(t, "logs", "--selector=release=spring", "-c", "echo"); strings.Contains(logs, "received request") {
			t.Errorf("the spring pod got a request: %s", logs)
		}
	})
}

// testNames uses an interactive pod as the documentation of Services does. It waits for a line before it curls: what a
// container prints before anybody is attached is not shown.
func (n namespace) testNames(t *testing.T) {
	names := []string{"echo"}
	for _, suffix := range []string{"", ".svc", ".svc.local", ".svc.cluster.local"} {
		names = append(names, "echo."+n.name+suffix)
	}
	script := fmt.Sprintf(`read go; for name in %s; do echo "$name: $(curl --silent --show-error --max-time 5 http://$name/ 2>&1)"; done`, strings.Join(names, " "))
	term := n.onTerminal(t, "run", "-i", "--rm", "--tty", "debug", "--image=gihyodocker/fundamental:0.1.0", "--restart=Never", "--", "sh", "-c", script)
	term.enter(t, "go")
	if code := term.exitCode(t); code != 0 {
		t.Errorf("exit code is %d: %s", code, term.shown())
	}
	<-term.ended
	for _, name := range names {
		if want := name + ": " + greeting; !strings.Contains(term.shown(), want) {
			t.Errorf("no %q in:\n%s", want, term.shown())
		}
	}
	received := 0
	for _, pod := range n.waitForPods(t, 2, "echo-summer-[a-z0-9]{5}", "--selector=release=summer") {
		received += strings.Count(n.must(t, "logs", pod, "-c", "echo"), "received request")
	}
	if received < len(names) {
		t.Errorf("the summer pods logged %d requests, want at least %d", received, len(names))
	}
}

// answerers requests url often enough that each of two pods has answered, but for one time in a million million.
func answerers(t *testing.T, url string) map[string]int {
	t.Helper()
	hosts := map[string]int{}
	for range 40 {
		body, host, err := get(url)
		if err != nil || body != greeting {
			t.Fatalf("GET %s: %q, %v", url, body, err)
		}
		hosts[host]++
	}
	return hosts
}
