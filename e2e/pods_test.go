package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// podOf is a pod with one container named main of the test image; spec is more of the pod's, container of the
// container's, each as items of a YAML flow mapping.
func podOf(name, spec, container string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {test: pods}
spec: {%s, containers: [{name: main, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, %s}]}
---
`, name, spec, container)
}

// waitForValue waits until one value of an object matches a pattern.
func (n namespace) waitForValue(t *testing.T, object, jsonpath, pattern string) {
	t.Helper()
	want := regexp.MustCompile("^(?:" + pattern + ")$")
	eventually(t, func() error {
		if got := n.value(t, object, jsonpath); !want.MatchString(got) {
			return fmt.Errorf("%s of %s is %q, want %s", jsonpath, object, got, pattern)
		}
		return nil
	})
}

// waitForEvent waits until an object has an event of that reason whose message matches the pattern.
func (n namespace) waitForEvent(t *testing.T, object, reason, pattern string) {
	t.Helper()
	want := regexp.MustCompile(pattern)
	eventually(t, func() error {
		messages := n.must(t, "get", "events", "--field-selector=involvedObject.name="+object+",reason="+reason, "-o", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)
		if !want.MatchString(messages) {
			return fmt.Errorf("the events %s of %s say %q, want %s", reason, object, messages, pattern)
		}
		return nil
	})
}

func TestContainersRunAsDeclared(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "declared")
	const env = `env: [{name: FIRST, value: one}, {name: SECOND, value: "$(FIRST) two"}, {name: ESCAPED, value: "$$(FIRST)"}, {name: UNKNOWN, value: "$(NOWHERE)"},
		{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]`
	once := "restartPolicy: Never"
	ns.apply(t, podOf("env", once, env+`, args: [env, FIRST, SECOND, ESCAPED, UNKNOWN, POD]`)+
		podOf("args", once, env+`, workingDir: /tmp, command: [/tool, inspect], args: ["$(SECOND)", plain]`)+
		podOf("default", once, `args: [inspect]`))
	for name, want := range map[string]string{
		"env":     "one\none two\n$(FIRST)\n$(NOWHERE)\nenv\n",
		"args":    `{"args":["one two","plain"],"dir":"/tmp","gid":0,"hostname":"args",`,
		"default": `{"args":[],"dir":"/","gid":0,"hostname":"default",`,
	} {
		t.Run(name, func(t *testing.T) {
			ns.waitForValue(t, "pod/"+name, "{.status.phase}", "Succeeded")
			if got := ns.must(t, "logs", name); !strings.HasPrefix(got, want) {
				t.Errorf("the container prints %q, want %q", got, want)
			}
		})
	}
}

func TestRestartPolicies(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "restarts")
	ns.apply(t, podOf("never-fails", "restartPolicy: Never", `args: [exit, "3"]`)+
		podOf("never-succeeds", "restartPolicy: Never", `args: [exit, "0"]`)+
		podOf("on-failure-succeeds", "restartPolicy: OnFailure", `args: [exit, "0"]`)+
		podOf("on-failure-fails", "restartPolicy: OnFailure", `args: [exit, "7"]`)+
		podOf("always", "restartPolicy: Always", `args: [exit, "0"]`))
	const code = "{.status.phase} {.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].state.terminated.reason}"
	ns.waitForValue(t, "pod/never-fails", code, "Failed 0 3 Error")
	ns.waitForValue(t, "pod/never-succeeds", code, "Succeeded 0 0 Completed")
	ns.waitForValue(t, "pod/on-failure-succeeds", code, "Succeeded 0 0 Completed")
	const again = "{.status.phase} {.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].lastState.terminated.exitCode} {.status.containerStatuses[0].state.waiting.message}"
	ns.waitForValue(t, "pod/on-failure-fails", again, "Running CrashLoopBackOff 7 back-off 10s restarting failed container=main pod=on-failure-fails_restarts.*")
	ns.waitForValue(t, "pod/always", again, "Running CrashLoopBackOff 0 back-off 10s restarting failed container=main pod=always_restarts.*")

	t.Run("get pod shows it", func(t *testing.T) {
		eventually(t, func() error {
			if got := ns.pods(t, "--field-selector=metadata.name=on-failure-fails")[0]; got[2] != "CrashLoopBackOff" {
				return fmt.Errorf("get pod shows %v", got)
			}
			return nil
		})
	})
	t.Run("the delay grows", func(t *testing.T) {
		ns.waitForValue(t, "pod/on-failure-fails", again, "Running CrashLoopBackOff 7 back-off 20s restarting.*")
		ns.waitForEvent(t, "on-failure-fails", "BackOff", "[Bb]ack-off restarting failed container main")
		if got := ns.value(t, "pod/on-failure-fails", "{.status.containerStatuses[0].restartCount}"); got == "0" {
			t.Error("there was no restart")
		}
	})
}

func TestImagesThatAreNotThere(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "images")
	image := func(name, policy string) string {
		return strings.Replace(podOf(name, "restartPolicy: Always", "args: [sleep]"),
			`image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent`, `image: "127.0.0.1:1/not/there:1", imagePullPolicy: `+policy, 1)
	}
	ns.apply(t, image("missing", "IfNotPresent")+image("never", "Never")+strings.Replace(image("broken", "Always"), "not/there:1", "NOT/there:1", 1))
	const waiting = "{.status.phase} {.status.containerStatuses[0].state.waiting.reason}"
	ns.waitForValue(t, "pod/missing", waiting, "Pending (ErrImagePull|ImagePullBackOff)")
	ns.waitForValue(t, "pod/missing", waiting, "Pending ImagePullBackOff")
	ns.waitForValue(t, "pod/never", waiting, "Pending ErrImageNeverPull")
	ns.waitForValue(t, "pod/broken", waiting, "Pending InvalidImageName")
	ns.waitForEvent(t, "missing", "Pulling", `Pulling image "127.0.0.1:1/not/there:1"`)
	ns.waitForEvent(t, "missing", "Failed", `Failed to pull image "127.0.0.1:1/not/there:1": .`)
	ns.waitForEvent(t, "missing", "BackOff", `Back-off pulling image "127.0.0.1:1/not/there:1"`)
	ns.waitForEvent(t, "never", "ErrImageNeverPull", `is not present with pull policy of Never`)
	if got := ns.pods(t, "--field-selector=metadata.name=never")[0][2]; got != "ErrImageNeverPull" {
		t.Errorf("get pod shows %s", got)
	}
}

func TestGracePeriodIsHonoured(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "grace")
	ns.apply(t, podOf("stubborn", "terminationGracePeriodSeconds: 3", "args: [sleep, --ignore-term]")+
		podOf("polite", "terminationGracePeriodSeconds: 60", "args: [sleep]"))
	ns.waitForPods(t, 2, "(stubborn|polite)")
	took := func(args ...string) time.Duration {
		began := time.Now()
		ns.must(t, append([]string{"delete", "pod"}, args...)...)
		return time.Since(began)
	}
	// A container that handles SIGTERM need not wait; the bounds leave room for a loaded machine.
	if got := took("polite"); got > 30*time.Second {
		t.Errorf("deleting the polite pod took %v of its 60 s", got)
	}
	if got := took("stubborn"); got < 2900*time.Millisecond || got > 30*time.Second {
		t.Errorf("deleting the stubborn pod took %v, want its 3 s", got)
	}
	ns.apply(t, podOf("stubborn", "terminationGracePeriodSeconds: 3600", "args: [sleep, --ignore-term]"))
	ns.waitForPods(t, 1, "stubborn")
	if got := took("stubborn", "--grace-period=1"); got > 30*time.Second {
		t.Errorf("deleting with --grace-period=1 took %v", got)
	}
	ns.waitForEvent(t, "polite", "Killing", "Stopping container main")
	ns.waitUntilGone(t)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "logs")
	const script = `for n in 1 2 3 4 5; do echo line $n; done; echo to stderr >&2; [ -e /kept/again ] || { touch /kept/again; exit 1; }; while :; do sleep 1; done`
	ns.apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  name: talks
  labels: {test: logs}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: kept, emptyDir: {}}]
  containers:
  - {name: first, image: "gihyodocker/fundamental:0.1.0", imagePullPolicy: IfNotPresent, command: [sh, -c, %q], volumeMounts: [{name: kept, mountPath: /kept}]}
  - {name: second, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, command: [/tool, http-serve, ":8080"]}
`, script))
	ns.waitForValue(t, "pod/talks", "{.status.containerStatuses[?(@.name=='first')].restartCount} {.status.phase}", "1 Running")
	const lines, toStderr = "line 1\nline 2\nline 3\nline 4\nline 5\n", "to stderr\n"
	// Each stream is in order; where the other's lines come in between, nobody promises.
	complete := func(logs string) bool {
		return strings.Contains(logs, toStderr) && strings.Replace(logs, toStderr, "", 1) == lines
	}
	eventually(t, func() error {
		if got := ns.must(t, "logs", "talks", "-c", "first"); !complete(got) {
			return fmt.Errorf("logs prints %q", got)
		}
		return nil
	})
	if got := ns.must(t, "logs", "talks", "-c", "first", "--previous"); !complete(got) {
		t.Errorf("--previous prints %q", got)
	}
	if got := ns.must(t, "logs", "talks", "-c", "first", "--tail=2"); strings.Count(got, "\n") != 2 {
		t.Errorf("--tail=2 prints %q", got)
	}
	if got := ns.must(t, "logs", "talks", "-c", "first", "--timestamps", "--tail=1"); !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) `).MatchString(got) {
		t.Errorf("--timestamps prints %q", got)
	}
	if got := ns.must(t, "logs", "talks", "-c", "first", "--since=1h"); !complete(got) {
		t.Errorf("--since=1h prints %q", got)
	}
	if got := ns.must(t, "logs", "talks", "-c", "first", "--since-time="+time.Now().Add(time.Hour).Format(time.RFC3339)); got != "" {
		t.Errorf("--since-time in an hour prints %q", got)
	}
	if got := ns.must(t, "logs", "--selector=test=logs", "--all-containers", "--prefix"); !strings.Contains(got, "[pod/talks/first] line 5\n") {
		t.Errorf("-l with --prefix prints %q", got)
	}
	if got := ns.must(t, "logs", "talks", "-c", "first", "--limit-bytes=6"); len(got) != 6 {
		t.Errorf("--limit-bytes=6 prints %q", got)
	}
	if got := ns.run(t, "logs", "talks", "-c", "third"); got.code != 1 || !strings.Contains(got.stderr, "container third is not valid for pod talks") {
		t.Errorf("of a container that is not there: exit code %d, %q", got.code, got.stderr)
	}
	if got := ns.run(t, "logs", "talks", "-c", "second", "--previous"); got.code != 1 || !strings.Contains(got.stderr, "previous terminated container") {
		t.Errorf("--previous without one: exit code %d, %q", got.code, got.stderr)
	}
}

func TestAttachAndRun(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "attach")
	t.Run("attach shows what comes and sends what is typed", func(t *testing.T) {
		ns.apply(t, podOf("reads", "terminationGracePeriodSeconds: 1", `stdin: true, args: [cat]`))
		ns.waitForPods(t, 1, "reads")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := cluster.command(ctx, ns.args([]string{"attach", "-i", "reads"})...)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(stdin, "through the pod\n"); err != nil {
			t.Error(err)
		}
		answer := make([]byte, len("through the pod\n"))
		if _, err := io.ReadFull(stdout, answer); err != nil || string(answer) != "through the pod\n" {
			t.Errorf("attach shows %q, %v", answer, err)
		}
		cancel() // cat would go on reading
		cmd.Wait()
	})
	t.Run("run -it --rm gives a terminal, passes the exit code on and removes the pod", func(t *testing.T) {
		term := ns.onTerminal(t, "run", "shell", "-it", "--rm", "--image=gihyodocker/fundamental:0.1.0", "--image-pull-policy=IfNotPresent", "--restart=Never", "--", "sh")
		term.enter(t, "[ -t 0 ] && echo a termi''nal of $(hostname)")
		term.waitFor(t, "a terminal of shell")
		term.enter(t, "exit 4")
		if code := term.exitCode(t); code != 4 {
			t.Errorf("exit code is %d, want 4: %s", code, term.shown())
		}
		if got := ns.run(t, "get", "pod", "shell"); got.code == 0 {
			t.Errorf("the pod is still there: %s", got.stdout)
		}
	})
	t.Run("run with input and output", func(t *testing.T) {
		got := cluster.run(t, "from the pipe\n", ns.args([]string{"run", "piped", "-i", "--rm", "--quiet", "--image=kube-lite-test/tool:latest",
			"--image-pull-policy=IfNotPresent", "--restart=Never", "--", "cat"})...)
		if got.code != 0 || got.stdout != "from the pipe\n" {
			t.Errorf("exit code %d, %q, %q", got.code, got.stdout, got.stderr)
		}
	})
}

func TestWhatIsNotSupportedIsSaidInAnEvent(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "unsupported")
	ns.apply(t, podOf("asks", "volumes: [{name: far, nfs: {server: example.org, path: /}}, {name: cloud, csi: {driver: example.org}}]", "args: [sleep]"))
	ns.waitForPods(t, 1, "asks")
	shown := func(t *testing.T) []string {
		t.Helper()
		var list struct {
			Items []struct{ Type, Reason, Message string }
		}
		if err := json.Unmarshal([]byte(ns.must(t, "get", "events", "--field-selector=involvedObject.name=asks", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		var warnings []string
		for _, event := range list.Items {
			if event.Type == "Warning" {
				warnings = append(warnings, event.Message)
			}
		}
		return warnings
	}
	for _, field := range []string{"spec.volumes[0].nfs", "spec.volumes[1].csi"} {
		eventually(t, func() error {
			if got := shown(t); !slices.ContainsFunc(got, func(message string) bool { return strings.Contains(message, field) }) {
				return fmt.Errorf("no Warning names %s: %q", field, got)
			}
			return nil
		})
	}
}

func TestEventsAreThoseOfAKubelet(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "events")
	ns.apply(t, podOf("told", "terminationGracePeriodSeconds: 1", "args: [sleep]"))
	ns.waitForPods(t, 1, "told")
	for reason, pattern := range map[string]string{
		"Scheduled": "^Successfully assigned events/told to ",
		"Pulled":    `^Container image "kube-lite-test/tool:latest" already present on machine`,
		"Created":   "^(Container created|Created container:? main)",
		"Started":   "^(Container started|Started container main)",
	} {
		ns.waitForEvent(t, "told", reason, pattern)
	}
	described := ns.must(t, "describe", "pod", "told")
	for _, want := range []string{"Scheduled", "Pulled", "Created", "Started", "default-scheduler", "kubelet"} {
		if !strings.Contains(described, want) {
			t.Errorf("describe has no %q:\n%s", want, described)
		}
	}
	if warnings := ns.must(t, "get", "events", "--field-selector=type=Warning"); warnings != "" {
		t.Errorf("there are warnings about a pod that is well: %s", warnings)
	}
	ns.must(t, "delete", "pod", "told")
	ns.waitForEvent(t, "told", "Killing", "^Stopping container main")
}

func TestRuntimeClasses(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "classes")
	if got := ns.must(t, "get", "runtimeclass", "runc", "-o", "jsonpath={.handler}"); got != "runc" {
		t.Errorf("the class of Docker's runc has the handler %q", got)
	}
	ns.apply(t, podOf("usual", "runtimeClassName: runc", "args: [sleep]"))
	ns.waitForPods(t, 1, "usual")

	got := ns.in.run(t, podOf("lost", "runtimeClassName: nowhere", "args: [sleep]"), ns.args([]string{"apply", "-f", "-"})...)
	if want := `pod rejected: RuntimeClass "nowhere" not found`; got.code != 1 || !strings.Contains(got.stderr, want) {
		t.Errorf("exit code %d: %s, want %s", got.code, got.stderr, want)
	}

	const heavy = `
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: e2e-heavy}
handler: heavy
overhead: {podFixed: {cpu: 50m}}
---
`
	t.Cleanup(func() { ns.must(t, "delete", "runtimeclass", "e2e-heavy") })
	ns.apply(t, heavy+podOf("ballast", "runtimeClassName: e2e-heavy", "args: [sleep]"))
	ns.waitForValue(t, "pod/ballast", "{.spec.overhead.cpu} {.status.phase}", "50m Running")
	ns.waitForEvent(t, "ballast", "UnsupportedField", `spec.runtimeClassName is ignored: Docker has no runtime for "e2e-heavy"`)
}

func TestAllContainersAreRestartedUponTheEndOfOne(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "rounds")
	const container = `image: "gihyodocker/fundamental:0.1.0", imagePullPolicy: Never`
	ns.apply(t, `
apiVersion: v1
kind: Pod
metadata: {name: family}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  volumes: [{name: kept, emptyDir: {}}]
  initContainers:
  - {name: init, `+container+`, command: [sh, -c, "exit 0"]}
  - {name: side, `+container+`, restartPolicy: Always, command: [sleep, "1000"]}
  containers:
  - {name: other, `+container+`, command: [sleep, "1000"]}
  - name: source
    image: gihyodocker/fundamental:0.1.0
    imagePullPolicy: Never
    restartPolicy: Never
    restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]
    volumeMounts: [{name: kept, mountPath: /kept}]
    command: [sh, -c, "[ -e /kept/again ] && exec sleep 1000; touch /kept/again; exit 42"]
`)
	const counts = "{.status.initContainerStatuses[*].restartCount} {.status.containerStatuses[*].restartCount} "
	ns.waitForValue(t, "pod/family", counts+"{.status.containerStatuses[*].ready}", "1 1 1 1 true true")
	if got := ns.value(t, "pod/family", "{.status.containerStatuses[?(@.name=='source')].lastState.terminated.exitCode}"); got != "42" {
		t.Errorf("the container that began it ended with %s", got)
	}
}
