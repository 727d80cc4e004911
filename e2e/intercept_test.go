package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// interceptedApp is a Service with all the ways to reach it, and those that cannot be intercepted.
func interceptedApp() string {
	return toolPod("web", `http-serve, ":8080", pod`, "{containerPort: 8080}") + toolPod("client", "sleep") +
		service("web", "type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]") +
		service("headless", "clusterIP: None, selector: {app: web}, ports: [{port: 8080}]") +
		service("packets", "selector: {app: web}, ports: [{name: dns, port: 53, protocol: UDP}]")
}

const interceptedIngress = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: intercepted.localhost
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
`

// process is a program of the developer's, which listens on 127.0.0.1 only.
func process(t *testing.T, at string) *http.Server {
	t.Helper()
	listener, err := net.Listen("tcp4", at)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Addr: listener.Addr().String(), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "process") })}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	return server
}

// startIntercept runs the command on a terminal until the intercept is in force.
func (n namespace) startIntercept(t *testing.T, args ...string) *terminal {
	t.Helper()
	term := n.onTerminal(t, append([]string{"intercept"}, args...)...)
	term.waitFor(t, "Intercepting "+n.name+"/web:http to ")
	return term
}

// press types a key that is a signal.
func (term *terminal) press(t *testing.T, key byte) {
	t.Helper()
	if _, err := term.master.Write([]byte{key}); err != nil {
		t.Fatal(err)
	}
}

const ctrlC = 3

// answers requires that a request is answered by somebody at once.
func answers(t *testing.T, url, want string) {
	t.Helper()
	if got, _, err := get(url); err != nil || strings.TrimSpace(got) != want {
		t.Errorf("%s is answered by %q, %v, want %s", url, got, err, want)
	}
}

func TestInterceptLeadsToTheProcessAndBack(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "intercepted")
	ns.apply(t, interceptedApp()+interceptedIngress)
	ns.waitForPods(t, 2, "(web|client)")
	nodePort, clusterIP := ns.nodePort(t, "web"), "http://"+ns.value(t, "service/web", "{.spec.clusterIP}")
	ns.waitForValue(t, "ingress/web", "{.status.loadBalancer.ingress[0].ip}", `^127\.0\.0\.1$`)
	ingress, _ := cluster.status(t)["ingress"].(map[string]any)
	plain, _ := ingress["http"].(string)
	routed := strings.Replace(plain, "localhost", "intercepted.localhost", 1)
	everywhere := func(by string) {
		t.Helper()
		for _, url := range []string{nodePort, clusterIP} {
			answers(t, url, by)
		}
		answersAt(t, routed, by)
		if got, err := ns.tool(t, "client", "http-get", "http://web"); err != nil || got != by {
			t.Errorf("a pod is answered by %q, %v, want %s", got, err, by)
		}
	}
	waitForAnswer(t, nodePort, "pod")
	everywhere("pod")
	client := requestAllTheTime(t, nodePort)
	server := process(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(server.Addr)

	term := ns.startIntercept(t, "web", "--to", "localhost:"+port)
	everywhere("process")
	if got := ns.in.run(t, "", "status"); !strings.Contains(got.stdout, "intercepted/web:http to localhost:"+port) {
		t.Errorf("status does not list it:\n%s", got.stdout)
	}
	if got := ns.run(t, "intercept", "web", "--to", "localhost:1"); got.code != 1 || !strings.Contains(got.stderr, "it is intercepted already: intercepted/web:http to localhost:"+port) {
		t.Errorf("a second one: code %d, %s", got.code, got.stderr)
	}
	if got := ns.run(t, "why", "service/web"); got.code != 0 || !strings.Contains(got.stdout, "localhost:"+port) {
		t.Errorf("why does not tell of it:\n%s", got.stdout)
	}

	server.Close()
	everywhere("pod") // at once
	term.waitFor(t, "takes no connections, and the pods do until it does")
	process(t, server.Addr)
	everywhere("process")
	term.waitFor(t, "takes connections again")

	term.press(t, ctrlC)
	term.waitFor(t, "intercepted/web:http goes to its pods again.")
	everywhere("pod")
	if code := term.exitCode(t); code != 0 {
		t.Errorf("after Ctrl-C the exit code is %d: %s", code, term.shown())
	}
	term = ns.startIntercept(t, "web", "--port", "80", "--to", server.Addr)
	answers(t, clusterIP, "process")
	if err := term.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitForAnswer(t, clusterIP, "pod")
	client.check(t)
	if all, _ := cluster.status(t)["intercepts"].([]any); len(ofNamespace(all, "intercepted")) > 0 {
		t.Errorf("still listed: %v", all)
	}
}

// ofNamespace are the intercepts of a namespace.
func ofNamespace(all []any, name string) (own []any) {
	for _, i := range all {
		if m, _ := i.(map[string]any); m["namespace"] == name {
			own = append(own, i)
		}
	}
	return own
}

// answersAt is answers for a name under localhost, which not every machine's resolver knows.
func answersAt(t *testing.T, address, want string) {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(address, at.Hostname(), "localhost", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = at.Host
	if got, err := send(request); err != nil || got != want {
		t.Errorf("%s is answered by %q, %v, want %s", address, got, err, want)
	}
}

// send returns what is answered to a request on a connection of its own.
func send(request *http.Request) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var text strings.Builder
	err = response.Write(&text)
	_, body, _ := strings.Cut(text.String(), "\r\n\r\n")
	return strings.TrimSpace(body), err
}

func TestInterceptTakesRequestsWithAHeader(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "intercept-header")
	ns.apply(t, interceptedApp())
	ns.waitForPods(t, 2, "(web|client)")
	nodePort := ns.nodePort(t, "web")
	waitForAnswer(t, nodePort, "pod")
	term := ns.startIntercept(t, "web", "--to", process(t, "127.0.0.1:0").Addr, "--header", "x-user=me")
	for value, want := range map[string]string{"me": "process", "you": "pod", "": "pod"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, nodePort, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-User", value)
		if got, err := send(request); err != nil || got != want {
			t.Errorf("with %q: answered by %q, %v, want %s", value, got, err, want)
		}
	}
	term.press(t, ctrlC)
	term.waitFor(t, "goes to its pods again.")
}

func TestInterceptSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "intercept-not")
	ns.apply(t, interceptedApp())
	ns.must(t, "create", "rolebinding", "jane", "--clusterrole=view", "--user=jane")
	for says, args := range map[string][]string{
		"headless is headless: DNS leads its clients straight to the pods": {"headless", "--to=localhost:1"},
		"no other protocol is intercepted: it has dns (53)/UDP":            {"packets", "--to=localhost:1"},
		`has no port "htpp" (did you mean "http"?): it has http (80)`:      {"web", "--port=htpp", "--to=localhost:1"},
		`services "none" not found`:                                        {"none", "--to=localhost:1"},
		"use HOST:PORT, such as localhost:3000":                            {"web", "--to=3000"},
		"say where the process listens":                                    {"web"},
		"is the Service intercept-not/web itself":                          {"web", "--to=" + strings.TrimPrefix(ns.nodePort(t, "web"), "http://")},
		`use KEY=VALUE, such as x-user=me`:                                 {"web", "--to=localhost:1", "--header=me"},
		`User "jane" cannot create resource "nodes/proxy"`:                 {"web", "--to=localhost:1", "--as=jane"},
		`User "joe" cannot get resource "services"`:                        {"web", "--to=localhost:1", "--as=joe"},
		"it works on kube-lite's own instance alone":                       {"web", "--to=localhost:1", "--context=prod"},
		"--run takes the command behind --":                                {"web", "--to=localhost:1", "--run"},
	} {
		if got := ns.run(t, append([]string{"intercept"}, args...)...); got.code != 1 || !strings.Contains(got.stderr, says) {
			t.Errorf("%v: code %d, %s, want %s", args, got.code, got.stderr, says)
		}
	}
}

// An app whose pod gets its environment from everywhere.
const environmentApp = `
apiVersion: v1
kind: ConfigMap
metadata: {name: all}
data: {GREETING: "it's\ntwo lines"}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: "s3c ret"}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: kube-lite-test/tool:latest
    imagePullPolicy: Never
    args: [http-serve, ":8080", pod]
    envFrom: [{configMapRef: {name: all}}]
    env:
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: token}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
`

func TestInterceptRunsAProcessAsInThePod(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "intercept-run")
	ns.apply(t, environmentApp)
	ns.waitForPods(t, 1, "web")
	folder := t.TempDir()
	file, machine := filepath.Join(folder, "web.env"), resolvConf(t)
	script := `echo "$GREETING|$TOKEN|$POD"; getent hosts web | cut -d" " -f1; exit 7`
	term := ns.startIntercept(t, "web", "--to=localhost:1", "--env="+file, "--run", "--", "sh", "-c", script)
	if code := term.exitCode(t); code != 7 {
		t.Errorf("the exit code is %d, want the process's: %s", code, term.shown())
	}
	term.waitFor(t, "goes to its pods again.")
	shown := strings.ReplaceAll(term.shown(), "\r", "")
	for _, want := range []string{"it's\ntwo lines|s3c ret|web\n", "\n" + ns.value(t, "service/web", "{.spec.clusterIP}") + "\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the process has not printed %q: %s", want, shown)
		}
	}
	if now := resolvConf(t); now != machine {
		t.Errorf("the machine's resolv.conf was changed to %s", now)
	}
	out, err := exec.Command("sh", "-ec", `. "$0"; echo "$GREETING|$TOKEN|$POD"`, file).CombinedOutput()
	if want := "it's\ntwo lines|s3c ret|web\n"; err != nil || string(out) != want {
		t.Errorf("a shell reads %q of the file, %v, want %q", out, err, want)
	}

	t.Run("signals are handed on", func(t *testing.T) {
		term := ns.startIntercept(t, "web", "--to=localhost:1", "--run", "--", "sh", "-c", `trap "exit 5" TERM; echo runs; while :; do sleep 0.1; done`)
		term.waitFor(t, "runs")
		if err := term.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := term.exitCode(t); code != 5 {
			t.Errorf("the exit code is %d, want the process's: %s", code, term.shown())
		}
	})
	t.Run("the process ends with the command", func(t *testing.T) {
		term := ns.startIntercept(t, "web", "--to=localhost:1", "--run", "--", "sh", "-c", `echo "pid=$$."; exec sleep 1000`)
		term.waitFor(t, ".")
		term.waitFor(t, "pid=")
		_, rest, _ := strings.Cut(term.shown(), "pid=")
		text, _, _ := strings.Cut(rest, ".")
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%v: %s", err, term.shown())
		}
		if err := term.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
				return fmt.Errorf("process %d still runs: %v", pid, err)
			}
			return nil
		})
	})
	if got := ns.run(t, "intercept", "web", "--to=localhost:1", "--run", "--", "/no/such/program"); got.code != 1 || !strings.Contains(got.stderr, "no such file") {
		t.Errorf("a program that is not there: code %d, %s", got.code, got.stderr)
	}
	if all, _ := cluster.status(t)["intercepts"].([]any); len(ofNamespace(all, ns.name)) > 0 {
		t.Errorf("still listed: %v", all)
	}
}

func resolvConf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestInterceptEndsWithAKilledDaemon(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	ns := namespace{"default", i}
	ns.apply(t, toolPod("web", `http-serve, ":8080", pod`, "{containerPort: 8080}")+
		service("web", "type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]"))
	ns.waitForPods(t, 1, "web")
	nodePort, to := ns.nodePort(t, "web"), process(t, "127.0.0.1:0").Addr
	term := ns.startIntercept(t, "web", "--to", to)
	answers(t, nodePort, "process")
	i.kill(t)
	term.waitFor(t, "the daemon has ended, and the intercept with it")
	if code := term.exitCode(t); code != 1 {
		t.Errorf("the exit code is %d: %s", code, term.shown())
	}
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	answers(t, nodePort, "pod") // a start returns when the rules stand
	var status struct{ Intercepts []any }
	if err := json.Unmarshal([]byte(i.run(t, "", "status", "-o", "json").stdout), &status); err != nil || status.Intercepts == nil || len(status.Intercepts) > 0 {
		t.Errorf("status lists %v, %v", status.Intercepts, err)
	}
	ns.startIntercept(t, "web", "--to", to)
	answers(t, nodePort, "process") // and the reset at the end leaves nothing of it
}
