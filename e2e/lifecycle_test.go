package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// keeper is a pod with an emptyDir and a container that leaves a mark in it at its first start.
const keeper = `
apiVersion: v1
kind: Pod
metadata:
  name: keeper
spec:
  containers:
  - name: keeper
    image: kube-lite-test/tool:latest
    imagePullPolicy: IfNotPresent
    volumeMounts:
    - {name: kept, mountPath: /kept}
  volumes:
  - name: kept
    emptyDir: {}
`

// The steps build on each other, as a user's day does.
func TestLifecycleOfAnInstance(t *testing.T) {
	i := startInstance(t)
	ns := namespace{"default", i}
	ns.apply(t, keeper)
	ns.must(t, "apply", "-f", "testdata/simple-deployment.yaml", "-f", "testdata/simple-nodeport-service.yaml")
	ns.waitForPods(t, 1, "keeper", "--field-selector=metadata.name=keeper")
	ns.waitForPods(t, 3, deploymentPattern, "--selector=app=echo")
	ns.must(t, "exec", "keeper", "--", "/tool", "write", "/kept/note", "before the stop")

	t.Run("a second start finds it running", i.testStartAgain)
	t.Run("status", i.testStatus)
	t.Run("reset asks first", i.testResetAsks)
	objects, url := i.objects(t), ns.nodePort(t, "echo")
	t.Run("stop leaves objects alone", i.testStop)
	t.Run("what needs the daemon says how to start it", i.testNotRunning)
	t.Run("apply starts the daemon and says so", i.testApplyStarts)
	t.Run("the workloads are back", func(t *testing.T) {
		ns.waitForPods(t, 3, deploymentPattern, "--selector=app=echo")
		ns.waitForPods(t, 1, "keeper", "--field-selector=metadata.name=keeper")
		waitForAnswer(t, url, greeting)
		if note := ns.must(t, "exec", "keeper", "--", "/tool", "cat", "/kept/note"); note != "before the stop" {
			t.Errorf("the emptyDir has %q", note)
		}
		now := i.objects(t)
		for object, uid := range objects {
			if now[object] != uid {
				t.Errorf("%s has the UID %q, had %s", object, now[object], uid)
			}
		}
	})
}

func (i *instance) testStartAgain(t *testing.T) {
	pid := i.status(t)["pid"]
	got := i.run(t, "", append([]string{"start"}, i.flags...)...)
	if want := fmt.Sprintf("already running (pid %v)", pid); got.code != 0 || !strings.Contains(got.stdout, want) || got.stderr != "" {
		t.Errorf("exit code %d, %q, %q; want 0 and %q", got.code, got.stdout, got.stderr, want)
	}
	if now := i.status(t)["pid"]; now != pid {
		t.Errorf("the daemon's pid was %v and is %v", pid, now)
	}
}

// status returns what status -o json says.
func (i *instance) status(t *testing.T) map[string]any {
	t.Helper()
	got := i.run(t, "", "status", "-o", "json")
	var status map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &status); err != nil || got.code != 0 {
		t.Fatalf("status -o json: exit code %d, %v: %s%s", got.code, err, got.stdout, got.stderr)
	}
	return status
}

func (i *instance) testStatus(t *testing.T) {
	status := i.status(t)
	engine, err := i.docker("version", "--format", "{{.Server.Version}}")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"name":        i.name,
		"apiServer":   "https://127.0.0.1:" + i.flag("api-port"),
		"dataDir":     i.dataDir(),
		"podCIDR":     i.flag("pod-cidr"),
		"serviceCIDR": i.flag("service-cidr"),
		"podsRunning": 4.0, "podsTotal": 4.0,
		"dockerVersion": engine,
	} {
		if status[key] != want {
			t.Errorf("%s is %v, want %v", key, status[key], want)
		}
	}
	if uptime, ok := status["uptimeSeconds"].(float64); !ok || uptime < 0 || uptime > commandLimit.Seconds() {
		t.Errorf("uptimeSeconds is %v", status["uptimeSeconds"])
	}
	if version, _ := status["version"].(string); version == "" || len(status) != 13 {
		t.Errorf("version is %q, and there are %d keys, want 13: %v", version, len(status), status)
	}
	text := i.run(t, "", "status")
	for _, want := range []string{i.name, i.dataDir(), "https://127.0.0.1:" + i.flag("api-port"), i.flag("pod-cidr"), i.flag("service-cidr"), "4/4", fmt.Sprint(status["pid"])} {
		if !strings.Contains(text.stdout, want) {
			t.Errorf("status has no %q:\n%s", want, text.stdout)
		}
	}
}

func (i *instance) testResetAsks(t *testing.T) {
	for _, answer := range []string{"", "\n", "n\n", "what?\n"} {
		got := i.run(t, answer, "reset")
		if got.code != 1 || !strings.Contains(got.stderr, "[y/N]") || !strings.Contains(got.stderr, "nothing was removed") {
			t.Errorf("after %q: exit code %d, %q", answer, got.code, got.stderr)
		}
	}
	if running := i.status(t)["podsRunning"]; running != 4.0 {
		t.Errorf("%v pods run", running)
	}
}

func (i *instance) testStop(t *testing.T) {
	if got := i.run(t, "", "stop"); got.code != 0 || !strings.Contains(got.stdout, "start") {
		t.Errorf("stop: exit code %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	i.ready = false
	left, err := i.docker("ps", "--quiet", "--filter", i.label())
	if err != nil || left != "" {
		t.Errorf("containers still run: %s (%v)", left, err)
	}
	if running, err := i.processes(); err != nil || running != "" {
		t.Errorf("processes still run: %s (%v)", running, err)
	}
	if chains, err := i.chains(); err != nil || chains != "" {
		t.Errorf("there are still rules: %s (%v)", chains, err)
	}
	if got := i.run(t, "", "stop"); got.code != 0 || !strings.Contains(got.stdout, "not running") {
		t.Errorf("a second stop: exit code %d, %q, %q", got.code, got.stdout, got.stderr)
	}
}

func (i *instance) testNotRunning(t *testing.T) {
	if got := i.run(t, "", "status"); got.code != 3 || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("status: exit code %d, %q; want 3 and one line", got.code, got.stderr)
	}
	for _, args := range [][]string{{"get", "pods"}, {"logs", "keeper"}, {"exec", "keeper", "--", "true"}, {"delete", "pod", "keeper"}, {"prune"}} {
		got := i.run(t, "", args...)
		if want := "kube-lite --name " + i.name + " start"; got.code != 1 || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: exit code %d, %q; want 1 and one line with %q", strings.Join(args, " "), got.code, got.stderr, want)
		}
	}
}

func (i *instance) testApplyStarts(t *testing.T) {
	got := i.run(t, "", "apply", "-f", "testdata/simple-deployment.yaml")
	if want := "deployment.apps/echo unchanged\n"; got.code != 0 || got.stdout != want {
		t.Errorf("apply: exit code %d, %q, want 0, %q", got.code, got.stdout, want)
	}
	if !strings.Contains(got.stderr, "not running: starting it") || !strings.Contains(got.stderr, "is ready") {
		t.Errorf("stderr does not say that the daemon was started: %q", got.stderr)
	}
	i.ready = true
	if api := i.status(t)["apiServer"]; api != "https://127.0.0.1:"+i.flag("api-port") {
		t.Errorf("the API moved to %v", api)
	}
}

func TestKubeconfig(t *testing.T) {
	file := filepath.Join(cluster.dataDir(), "kubeconfig")
	stat, err := os.Stat(file)
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Fatalf("%s: %v, %v; want mode 0600", file, stat.Mode(), err)
	}
	got := cluster.run(t, "", "kubeconfig")
	config, err := clientcmd.Load([]byte(got.stdout))
	if err != nil || got.code != 0 {
		t.Fatalf("exit code %d, %v: %s", got.code, err, got.stderr)
	}
	server := "https://127.0.0.1:" + cluster.flag("api-port")
	context := config.Contexts[config.CurrentContext]
	if context == nil || config.Clusters[context.Cluster] == nil || config.Clusters[context.Cluster].Server != server {
		t.Errorf("the current context does not lead to %s:\n%s", server, got.stdout)
	}

	t.Run("--merge keeps what the user has", func(t *testing.T) {
		mine := filepath.Join(t.TempDir(), "config")
		const before = `
apiVersion: v1
kind: Config
current-context: work
preferences: {}
clusters:
- {name: work, cluster: {server: "https://work.example:6443"}}
contexts:
- {name: work, context: {cluster: work, user: me, namespace: team}}
users:
- {name: me, user: {token: secret}}
`
		if err := os.WriteFile(mine, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		merge := func() {
			t.Helper()
			cmd := cluster.command(t.Context(), "kubeconfig", "--merge")
			cmd.Env = append(cmd.Env, "KUBECONFIG="+mine)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("kubeconfig --merge: %v: %s", err, out)
			}
		}
		merge()
		merge() // adds nothing more
		merged, err := clientcmd.LoadFromFile(mine)
		if err != nil {
			t.Fatal(err)
		}
		if merged.CurrentContext != "work" || merged.Clusters["work"].Server != "https://work.example:6443" || merged.AuthInfos["me"].Token != "secret" || merged.Contexts["work"].Namespace != "team" {
			t.Errorf("the user's own entries have changed: %+v", merged)
		}
		if len(merged.Contexts) != 2 || len(merged.Clusters) != 2 || len(merged.AuthInfos) != 2 || merged.Contexts[config.CurrentContext] == nil {
			t.Errorf("want work and %s, have %v", config.CurrentContext, merged.Contexts)
		}
		if stat, err := os.Stat(mine); err != nil || stat.Mode().Perm() != 0o600 {
			t.Errorf("mode is %v (%v), want 0600", stat.Mode(), err)
		}
		out, err := output(cluster.binary, "--kubeconfig="+mine, "--context="+config.CurrentContext, "get", "namespace", "default", "-o", "name")
		if err != nil || out != "namespace/default" {
			t.Errorf("through the merged file: %q, %v", out, err)
		}
	})
}

// It has an engine of its own: --images would take those of everybody.
func TestPruneFreesDisk(t *testing.T) {
	t.Parallel()
	engine := startEngine(t)
	engine.load(t, "kube-lite-test/tool:latest")
	const unused = "kube-lite-test/unused:latest"
	engine.importImage(t, unused)
	i := startInstanceOn(t, engine.host())
	ns := namespace{"default", i}
	ns.must(t, "run", "ends", "--image=kube-lite-test/tool:latest", "--image-pull-policy=IfNotPresent", "--restart=Never", "--", "print", "done")
	eventually(t, func() error {
		if phase := ns.value(t, "pod/ends", "{.status.phase}"); phase != "Succeeded" {
			return fmt.Errorf("the pod is %s", phase)
		}
		return nil
	})
	// Behind our back: a pod that the API does not know has a container.
	const orphan = "k8s_left_over_default_00000000-0000-0000-0000-000000000000_0"
	if _, err := i.docker("create", "--name="+orphan, "--label=io.kube-lite.instance="+i.name,
		"--label=io.kubernetes.docker.type=container", "--label=io.kubernetes.container.name=left", "--label=io.kubernetes.pod.name=over",
		"--label=io.kubernetes.pod.namespace=default", "--label=io.kubernetes.pod.uid=00000000-0000-0000-0000-000000000000",
		"kube-lite-test/tool:latest"); err != nil {
		t.Fatal(err)
	}
	images := func() string {
		t.Helper()
		names, err := i.docker("images", "--format", "{{.Repository}}:{{.Tag}}")
		if err != nil {
			t.Fatal(err)
		}
		return names
	}

	dry := i.run(t, "", "prune", "--images", "--dry-run")
	if dry.code != 0 || !regexp.MustCompile(`(?m)^would free [1-9].*MB$`).MatchString(dry.stdout) || !strings.Contains(dry.stdout, "would remove image "+unused) {
		t.Errorf("--dry-run: exit code %d: %s%s", dry.code, dry.stdout, dry.stderr)
	}
	if !strings.Contains(images(), unused) {
		t.Error("--dry-run removed the image")
	}
	if got := i.run(t, "", "prune"); got.code != 0 || !regexp.MustCompile(`(?m)^freed \d.*B$`).MatchString(got.stdout) {
		t.Errorf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if left := ns.containers(t, "name="+orphan); len(left) > 0 {
		t.Errorf("%v is left of a pod that the API does not know", left)
	}
	if !strings.Contains(images(), unused) {
		t.Error("without --images it removed an image")
	}
	if got := i.run(t, "n\n", "prune", "--images"); got.code != 1 || !strings.Contains(got.stderr, "nothing was removed") {
		t.Errorf("prune --images that is told no: exit code %d: %s", got.code, got.stderr)
	}
	if got := i.run(t, "y\n", "prune", "--images"); got.code != 0 || !regexp.MustCompile(`(?m)^freed [1-9].*MB$`).MatchString(got.stdout) {
		t.Errorf("--images: exit code %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if left := images(); strings.Contains(left, unused) || !strings.Contains(left, "kube-lite-test/tool:latest") {
		t.Errorf("images are %q, want the one that a pod refers to and not the other", left)
	}
	if logs := ns.must(t, "logs", "ends"); logs != "done\n" {
		t.Errorf("the ended pod's log is %q", logs)
	}
}
