package e2e

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// listening finds the local address of each TCP and UDP socket of a process in what ss prints.
var listening = regexp.MustCompile(`(?m)^\S+\s+\S+\s+\S+\s+(\S+:\d+)\s.*pid=(\d+),`)

func TestTheDaemonListensOnLocalhostAndItsBridgeOnly(t *testing.T) {
	pid := fmt.Sprint(cluster.status(t)["pid"])
	gateway := netip.MustParsePrefix(cluster.flag("pod-cidr")).Addr().Next().String()
	api := cluster.flag("api-port")
	want := map[string]bool{
		"tcp 127.0.0.1:" + api: true, "tcp " + gateway + ":" + api: true,
		"tcp " + gateway + ":53": true, "udp " + gateway + ":53": true,
	}
	seen := map[string]bool{}
	for _, protocol := range []string{"tcp", "udp"} {
		out, err := output("ss", "-H", "-n", "-l", "-p", "--"+protocol)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range listening.FindAllStringSubmatch(out, -1) {
			if match[2] == pid {
				seen[protocol+" "+match[1]] = true
			}
		}
	}
	for address := range want {
		if !seen[address] {
			t.Errorf("the daemon does not listen on %s", address)
		}
	}
	for address := range seen {
		if !want[address] {
			t.Errorf("the daemon listens on %s, where others may reach it", address)
		}
	}
}

func TestAPodReachesTheAPIServer(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "api")
	for _, name := range []string{"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"} {
		got := ns.must(t, "run", "ask", "-i", "--rm", "--quiet", "--restart=Never", "--image=gihyodocker/fundamental:0.1.0",
			"--", "curl", "--silent", "--show-error", "--insecure", "--max-time", "10", "https://"+name+"/livez")
		if got != "ok" {
			t.Errorf("https://%s/livez answers %q in a pod, want ok", name, got)
		}
	}
}

// A program with client-go's in-cluster configuration and nothing else, as soon as its namespace is there.
func TestAProgramInAPodUsesTheAPI(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "incluster")
	ns.grant(t, "view")
	got := ns.must(t, "run", "robot", "-i", "--rm", "--quiet", "--restart=Never", "--image=kube-lite-test/client:latest", "--image-pull-policy=Never")
	if want := "user system:serviceaccount:incluster:default\npod robot\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	without := ns.run(t, "run", "stranger", "-i", "--rm", "--quiet", "--restart=Never", "--image=kube-lite-test/client:latest", "--image-pull-policy=Never",
		`--overrides={"spec":{"automountServiceAccountToken":false}}`)
	if without.code == 0 || !strings.Contains(without.stdout+without.stderr, "serviceaccount/token: no such file") {
		t.Errorf("without its token: exit code %d: %s%s", without.code, without.stdout, without.stderr)
	}
	if got := ns.must(t, "create", "token", "default"); strings.Count(got, ".") != 2 {
		t.Errorf("create token printed %q", got)
	}
}

// The token is the user's whom the Pod declares, and nobody else's.
func TestAPodThatIsNotRootReadsItsToken(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "tokens")
	ns.grant(t, "view")
	ns.apply(t, `apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 1000, runAsGroup: 1000}
  containers: [{name: main, image: "kube-lite-test/client:latest", imagePullPolicy: Never}]
`)
	ns.waitForValue(t, "pod/reader", "{.status.phase}", "Succeeded")
	if got := ns.must(t, "logs", "reader"); !strings.HasPrefix(got, "user system:serviceaccount:tokens:default\n") {
		t.Errorf("it says %q", got)
	}
}

func TestASecretWithATokenIsFilled(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "tokensecret")
	ns.apply(t, `apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: robot-token, annotations: {kubernetes.io/service-account.name: robot}}
`)
	ns.waitForValue(t, "secret/robot-token", "{.data.namespace}", "dG9rZW5zZWNyZXQ=")
	encoded := ns.value(t, "secret/robot-token", "{.data.token}")
	token, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	whoami := func() result {
		return ns.run(t, "create", "--raw", "/apis/authentication.k8s.io/v1/tokenreviews", "-f", tokenReview(t, string(token)))
	}
	if got := whoami(); !strings.Contains(got.stdout, "system:serviceaccount:tokensecret:robot") {
		t.Errorf("the token's review says %s%s", got.stdout, got.stderr)
	}
	ns.must(t, "delete", "secret", "robot-token")
	if got := whoami(); strings.Contains(got.stdout, `"authenticated":true`) {
		t.Errorf("the token of a Secret that is gone is good: %s", got.stdout)
	}
}

// tokenReview is a file that asks whose a token is.
func tokenReview(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "review.json")
	text := fmt.Sprintf(`{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": %q}}`, token)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a Pod uses is what its program took.
func TestTop(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "top")
	ns.must(t, "run", "hungry", "--image=kube-lite-test/tool:latest", "--image-pull-policy=Never", "--", "alloc", "64")
	ns.must(t, "wait", "--for=condition=Ready", "pod/hungry", "--timeout=60s")
	eventually(t, func() error {
		got := ns.run(t, "top", "pod", "--containers", "--no-headers")
		fields := strings.Fields(got.stdout)
		if len(fields) != 4 || fields[0] != "hungry" || fields[1] != "hungry" {
			return fmt.Errorf("top pod printed %q %s", got.stdout, got.stderr)
		}
		if mib, err := strconv.Atoi(strings.TrimSuffix(fields[3], "Mi")); err != nil || mib < 64 || mib > 128 {
			return fmt.Errorf("it uses %s of memory, want 64 MiB and a bit", fields[3])
		}
		return nil
	})
	node := strings.TrimSpace(ns.must(t, "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"))
	if got := ns.must(t, "top", "node", "--no-headers"); !strings.HasPrefix(got, node) {
		t.Errorf("top node printed %q", got)
	}
	for path, want := range map[string]string{
		"stats/summary": `"rootfs":`, "metrics": "kubelet_running_pods", "pods": `"name":"hungry"`, "healthz": "ok",
		"metrics/resource": `pod_memory_working_set_bytes{namespace="top",pod="hungry"}`, "metrics/cadvisor": `container_fs_usage_bytes{container="hungry"`,
	} {
		if got := ns.must(t, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/"+path); !strings.Contains(got, want) {
			t.Errorf("the node's %s does not have %s", path, want)
		}
	}
}

// kubectl before 1.31, and behind proxies that know no WebSocket, speaks SPDY.
func TestExecOverSPDY(t *testing.T) {
	t.Setenv("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false")
	ns := newNamespace(t, "spdy")
	ns.must(t, "run", "server", "--image=kube-lite-test/tool:latest", "--image-pull-policy=Never", "--", "sleep")
	ns.must(t, "wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
	got := cluster.run(t, "over SPDY\n", ns.args([]string{"exec", "-i", "server", "--", "/tool", "cat"})...)
	if got.code != 0 || got.stdout != "over SPDY\n" {
		t.Errorf("exec -i of cat: exit code %d, %q: %s", got.code, got.stdout, got.stderr)
	}
	if got := ns.run(t, "exec", "server", "--", "/tool", "exit", "7"); got.code != 7 || !strings.Contains(got.stderr, "exit code 7") {
		t.Errorf("exec of exit 7: exit code %d: %s", got.code, got.stderr)
	}
}
