package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestScenario5NodePortAnswersOnLocalhost(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "scenario5")
	ns.must(t, "apply", "-f", "testdata/simple-replicaset-with-label.yaml", "-f", "testdata/simple-nodeport-service.yaml")
	ns.waitForPods(t, 2, "echo-summer-[a-z0-9]{5}", "--selector=release=summer")

	shown := ns.must(t, "get", "svc", "echo")
	match := regexp.MustCompile(`NodePort.* 80:(3\d{4})/TCP`).FindStringSubmatch(shown)
	if match == nil {
		t.Fatalf("get svc prints no 80:3xxxx/TCP: %s", shown)
	}
	url := "http://localhost:" + match[1]

	t.Run("curl on localhost answers", func(t *testing.T) {
		eventually(t, func() error {
			got, err := output("curl", "--silent", "--show-error", "--fail", "--max-time", "5", url)
			if err == nil && got != greeting {
				err = fmt.Errorf("curl %s prints %q", url, got)
			}
			return err
		})
	})
	t.Run("requests spread over the pods", func(t *testing.T) {
		eventually(t, func() error { // the second pod may be ready a moment later
			if hosts := answerers(t, url); len(hosts) != 2 {
				return fmt.Errorf("answers came from %v, want both summer pods", hosts)
			}
			return nil
		})
	})
	t.Run("a fixed port is honoured, a taken one refused", func(t *testing.T) {
		const port = "31987"
		ns.apply(t, nodePortService("fixed", port))
		waitForAnswer(t, "http://localhost:"+port, greeting)

		got := cluster.run(t, nodePortService("taken", port), ns.args([]string{"apply", "-f", "-"})...)
		if want := "Invalid value: " + port + ": provided port is already allocated"; got.code != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("exit code %d, %q; want 1, %q", got.code, got.stderr, want)
		}
	})
	t.Run("a Service that is gone answers no more", func(t *testing.T) {
		ns.must(t, "delete", "-f", "testdata/simple-nodeport-service.yaml")
		eventually(t, func() error {
			if _, _, err := get(url); err == nil {
				return fmt.Errorf("%s still answers", url)
			}
			return nil
		})
	})
}

func nodePortService(name, port string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata:
  name: %s
spec:
  type: NodePort
  selector: {app: echo, release: summer}
  ports:
  - port: 80
    targetPort: http
    nodePort: %s
`, name, port)
}
