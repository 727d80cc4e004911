package e2e

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// dataRoot is where instances are that nobody gives another place.
const dataRoot = "/var/lib/kube-lite"

var ownInstance = regexp.MustCompile(`Instance (test-[0-9a-f]+)`)

// verdictRun is a run of `kube-lite test`.
type verdictRun struct {
	cmd            *exec.Cmd
	stdout, stderr lockedBuffer
	began          time.Time
}

// lockedBuffer is written by a command and read by its test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// beginVerdict starts a run, as a CI job would: with no word of an instance in its environment.
func beginVerdict(t *testing.T, args ...string) *verdictRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	t.Cleanup(cancel)
	r := &verdictRun{cmd: cluster.command(ctx, append([]string{"test"}, args...)...), began: time.Now()}
	r.cmd.Env = append(r.cmd.Env, "KUBE_LITE_NAME=", "KUBE_LITE_DATA_DIR=", "GITHUB_ACTIONS=")
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for the run and its exit code.
func (r *verdictRun) end(t *testing.T, code int) {
	t.Helper()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d:\n%s%s", got, code, r.stdout.String(), r.stderr.String())
	}
}

// says fails unless the run printed the sentences.
func (r *verdictRun) says(t *testing.T, sentences ...string) {
	t.Helper()
	for _, s := range sentences {
		if all := r.stdout.String() + r.stderr.String(); !strings.Contains(all, s) {
			t.Errorf("it does not say %q:\n%s", s, all)
		}
	}
}

// name is that of the run's own instance; "" if it made none.
func (r *verdictRun) name() string {
	if m := ownInstance.FindStringSubmatch(r.stdout.String()); m != nil {
		return m[1]
	}
	return ""
}

// leavesNothing fails if anything is left of the run's instance.
func (r *verdictRun) leavesNothing(t *testing.T) {
	t.Helper()
	name := r.name()
	if name == "" {
		t.Fatalf("it made no instance:\n%s%s", r.stdout.String(), r.stderr.String())
	}
	if _, err := os.Stat(filepath.Join(dataRoot, name)); !os.IsNotExist(err) {
		t.Errorf("the data of %s is left: %v", name, err)
	}
	for _, args := range [][]string{{"ps", "--all", "--quiet"}, {"network", "ls", "--quiet"}} {
		if out, err := output("docker", append(args, "--filter", "label=io.kube-lite.instance="+name)...); err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("docker %s has what %s made: %s%v", args[0], name, out, err)
		}
	}
}

const verdictApp = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
      containers:
      - name: web
        image: kube-lite-test/tool:latest
        imagePullPolicy: IfNotPresent
        args: [http-serve, ":8080", hello]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {port: http}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: spare}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http, nodePort: 32179}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  tls: [{hosts: [verdict.localhost]}]
  rules: [{host: verdict.localhost, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: smoke}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: smoke, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-get, "http://web/"]}]
`

const verdictChecks = `
checks:
- name: by the name of the port
  url: http://web.default:http/
  matches: ^hello
- exec: deploy/web
  command: [/tool, print, done]
`

const missingImage = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "kube-lite-test/tool:lates", imagePullPolicy: Never}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`

// file writes one into a folder of the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Two runs side by side: an application that is good, with every kind of check, and one that cannot become ready.
func TestTestGivesVerdictsSideBySide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	junit, logs := filepath.Join(dir, "junit.xml"), filepath.Join(dir, "logs")
	good := beginVerdict(t, "-f", file(t, "app.yaml", verdictApp), "--junit", junit, "--logs", logs, "--check-file", file(t, "checks.yaml", verdictChecks),
		"--check", "http://web/ -> 200 hello", "--check", "https://verdict.localhost/ -> 200", "--check", "http://localhost:32179/", "--exec", "job/smoke")
	bad := beginVerdict(t, "-f", file(t, "app.yaml", missingImage), "--wait", "2m30s", "--check", "http://web/", "--junit", filepath.Join(dir, "bad.xml"))
	good.end(t, 0)
	good.says(t, "✓ Deployment web", "2 of 2 pods ready", "✓ Ingress web", "PersistentVolumeClaim spare", "none does", "✓ job/smoke", "passed")
	bad.end(t, 3)
	if took := time.Since(bad.began); took > 2*time.Minute {
		t.Errorf("the missing image was noticed after %v", took)
	}
	bad.says(t, `✗ Pod web-`, `the image "kube-lite-test/tool:lates" of container web is not on node`, "there is kube-lite-test/tool:latest",
		"failed: not ready: Deployment web cannot become ready")
	good.leavesNothing(t)
	bad.leavesNothing(t)
	verdictFiles(t, junit, logs)
	if suites := readJUnit(t, filepath.Join(dir, "bad.xml")); suites["objects"].Failures != 2 || suites["checks"].Skipped != 1 {
		t.Errorf("the report of the bad one is %+v", suites)
	}
}

// junitSuite is what CI systems read.
type junitSuite struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Skipped  int    `xml:"skipped,attr"`
}

func readJUnit(t *testing.T, name string) map[string]junitSuite {
	t.Helper()
	text, err := os.ReadFile(name)
	var doc struct {
		Suites []junitSuite `xml:"testsuite"`
	}
	if err = errors.Join(err, xml.Unmarshal(text, &doc)); err != nil {
		t.Fatal(err)
	}
	all := map[string]junitSuite{}
	for _, s := range doc.Suites {
		all[s.Name] = s
	}
	return all
}

// verdictFiles are those that the good run leaves.
func verdictFiles(t *testing.T, junit, logs string) {
	t.Helper()
	if suites := readJUnit(t, junit); suites["objects"] != (junitSuite{"objects", 5, 0, 0}) || suites["checks"] != (junitSuite{"checks", 6, 0, 0}) {
		t.Errorf("the report is %+v", suites)
	}
	var files []string
	_ = filepath.WalkDir(logs, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, logs+"/"))
		}
		return err
	})
	all := strings.Join(files, "\n")
	for _, pattern := range []string{
		`(?m)^daemon\.log$`, `(?m)^events\.txt$`, `(?m)^objects/default/deployment-web\.yaml$`, `(?m)^objects/default/pod-smoke-\w+\.yaml$`,
		`(?m)^pods/default/smoke-\w+/smoke\.log$`, `(?m)^pods/default/web-\w+-\w+/web\.log$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(all) {
			t.Errorf("no file %s among\n%s", pattern, all)
		}
	}
	log, _ := filepath.Glob(filepath.Join(logs, "pods/default/smoke-*/smoke.log"))
	if text, err := os.ReadFile(strings.Join(log, "")); err != nil || !strings.Contains(string(text), "hello") {
		t.Errorf("the log of the Job is %q, %v", text, err)
	}
}

// What no time mends ends a run long before --wait does, and the run says what it is.
func TestTestEndsEarly(t *testing.T) {
	t.Parallel()
	const (
		crashing = `{name: web, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-get, "http://127.0.0.1:1/"]}`
		serving  = `{name: web, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-serve, ":8080", hello]}`
		large    = `, resources: {requests: {memory: 1Pi}}}`
	)
	for name, f := range map[string]struct {
		container string
		says      []string
	}{
		"a crash loop": {crashing, []string{"container web ends again and again: its program ends with an error (exit code 1)", "restarted 3 times", "connection refused"}},
		"no room":      {strings.TrimSuffix(serving, "}") + large, []string{"no node takes it: it asks for 1048576Gi memory"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := beginVerdict(t, "--wait", "150s", "-f", file(t, "app.yaml", fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [%s]}
`, f.container)))
			r.end(t, 3)
			r.says(t, append(f.says, "failed: not ready: Deployment web cannot become ready")...)
			if took := time.Since(r.began); took > 2*time.Minute {
				t.Errorf("it was noticed after %v", took)
			}
			r.leavesNothing(t)
		})
	}
}

// A kustomization may define the kinds of its objects.
func TestTestOfAKustomization(t *testing.T) {
	t.Parallel()
	path := file(t, "all.yaml", definitionAndObjects)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "kustomization.yaml"), []byte("resources: [all.yaml]"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := beginVerdict(t, "-k", filepath.Dir(path))
	r.end(t, 0)
	r.says(t, "Apply 4 objects", "✓ Ship gull", "passed")
	r.leavesNothing(t)
}

// A signal ends a run at any time, and leaves nothing.
func TestTestRemovesItsInstanceAfterASignal(t *testing.T) {
	t.Parallel()
	app := file(t, "app.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: never}\nspec: {schedulingGates: [{name: a.test/gate}], containers: [{name: a, image: kube-lite-test/tool}]}\n")
	for when, signal := range map[string]syscall.Signal{"Instance test-": syscall.SIGINT, "Wait until": syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			r := beginVerdict(t, "-f", app)
			eventually(t, func() error {
				if !strings.Contains(r.stdout.String(), when) {
					return fmt.Errorf("it has not said %q: %s", when, r.stdout.String())
				}
				return nil
			})
			if err := r.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			r.end(t, 4)
			r.says(t, "interrupted")
			r.leavesNothing(t)
		})
	}
}

// --keep leaves the instance, and says how it is reached and removed.
func TestTestKeepsItsInstance(t *testing.T) {
	t.Parallel()
	r := beginVerdict(t, "-f", file(t, "app.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"), "--keep")
	r.end(t, 0)
	name := r.name()
	kept := func(args ...string) {
		ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
		defer cancel()
		cmd := cluster.command(ctx, append([]string{"--name", name}, args...)...)
		cmd.Env = append(cmd.Env, "KUBE_LITE_DATA_DIR=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("kube-lite %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	defer kept("reset", "--yes")
	r.says(t, "kube-lite --name "+name+" reset --yes")
	kept("get", "configmap", "settings")
}

// On a cluster of others a run makes no instance, goes through the API server, and removes what it created. A failing
// check and a failed Job have their codes.
func TestTestElsewhere(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "verdict-elsewhere")
	ns.apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: theirs}\n")
	here := []string{"--kubeconfig", filepath.Join(cluster.dataDir(), "kubeconfig"), "-n", ns.name}
	app := file(t, "app.yaml", `
apiVersion: v1
kind: ConfigMap
metadata: {name: theirs}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers: [{name: web, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-serve, ":8080", hello], ports: [{name: http, containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`)
	r := beginVerdict(t, append(here, "-f", app, "--wait", "40s", "--check-file", file(t, "checks.yaml", `
checks:
- {url: "http://web/", matches: hello}
- {url: "http://web.verdict-elsewhere.pod:http/", status: 200}
- {url: "http://web/", status: 404, within: 1s}
- {exec: pod/web, command: [/tool, no-such-command]}
`))...)
	r.end(t, 1)
	r.says(t, "✗ GET http://web/ -> 404: status 200, want 404", "✓ GET http://web.verdict-elsewhere.pod:http/ -> 200", "✗ pod/web /tool no-such-command: exit code", "failed: a check failed")
	if r.name() != "" {
		t.Errorf("it made the instance %s", r.name())
	}
	if left := ns.must(t, "get", "pods,services,configmaps", "-o", "name"); strings.Contains(left, "/web") || !strings.Contains(left, "configmap/theirs") {
		t.Errorf("left are %s", left)
	}
	failing := beginVerdict(t, append(here, "-f", file(t, "job.yaml", `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "kube-lite-test/tool:latest", imagePullPolicy: IfNotPresent, args: [http-get, "http://127.0.0.1:1/"]}]
`))...)
	failing.end(t, 3)
	failing.says(t, "✗ Job migrate: has failed, BackoffLimitExceeded", "its pods failed once", "connection refused", "failed: not ready: Job migrate has failed")
}

// What is wrong with manifests or the machine is said before anything is made.
func TestTestSaysWhatIsWrongBeforehand(t *testing.T) {
	t.Parallel()
	app := file(t, "app.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {}\n")
	r := beginVerdict(t, "-f", app)
	r.end(t, 2)
	r.says(t, app+`:4:1: date: unknown field (did you mean "data"?)`)
	if r.name() != "" {
		t.Error("it made an instance")
	}
	noDocker := beginVerdict(t, "-f", file(t, "app.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"), "--docker-host", "unix:///nonexistent")
	noDocker.end(t, 4)
	noDocker.says(t, "no Docker Engine answers at unix:///nonexistent")
	noDocker.leavesNothing(t)
}
