package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// namespace is a Kubernetes namespace that belongs to one test.
type namespace struct {
	name string
	in   *instance
}

// newNamespace makes a namespace that is deleted, with all in it, when the test ends. A test that fails first shows
// what is in it.
func newNamespace(t *testing.T, name string) namespace {
	t.Helper()
	return cluster.newNamespace(t, name)
}

func (i *instance) newNamespace(t *testing.T, name string) namespace {
	t.Helper()
	if got := i.run(t, "", "create", "namespace", name); got.code != 0 {
		t.Fatalf("create namespace %s: %s", name, got.stderr)
	}
	ns := namespace{name, i}
	t.Cleanup(func() {
		if t.Failed() {
			ns.show(t)
		}
		if got := i.run(t, "", "delete", "namespace", name, "--ignore-not-found", "--timeout=60s"); got.code != 0 {
			t.Errorf("delete namespace %s: %s", name, got.stderr)
		}
	})
	return ns
}

// show logs what helps to understand a failure.
func (n namespace) show(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"get", "all", "-o", "wide"}, {"get", "events", "--sort-by=.lastTimestamp"}} {
		t.Logf("kube-lite %s:\n%s", strings.Join(args, " "), n.run(t, args...).stdout)
	}
	if containers, err := n.in.docker("ps", "--all", "--filter", n.label(), "--filter", n.in.label()); err == nil {
		t.Logf("docker ps:\n%s", containers)
	}
	if log, err := output("tail", "--lines=30", filepath.Join(n.in.dataDir(), "daemon.log")); err == nil {
		t.Logf("the end of the daemon's log:\n%s", log)
	}
}

// args puts the namespace's flag where kubectl reads it: before the words that belong to a container.
func (n namespace) args(args []string) []string {
	end := len(args)
	if i := slices.Index(args, "--"); i >= 0 {
		end = i
	}
	return slices.Insert(slices.Clone(args), end, "--namespace="+n.name)
}

// run runs a kubectl verb in the namespace, whatever its exit code.
func (n namespace) run(t *testing.T, args ...string) result {
	t.Helper()
	return n.in.run(t, "", n.args(args)...)
}

// must runs a verb that has to succeed, and returns what it printed.
func (n namespace) must(t *testing.T, args ...string) string {
	t.Helper()
	got := n.run(t, args...)
	if got.code != 0 {
		t.Fatalf("kube-lite %s: exit code %d: %s%s", strings.Join(args, " "), got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

// apply applies a manifest given as text.
func (n namespace) apply(t *testing.T, manifest string) string {
	t.Helper()
	got := n.in.run(t, manifest, n.args([]string{"apply", "-f", "-"})...)
	if got.code != 0 {
		t.Fatalf("kube-lite apply: exit code %d: %s", got.code, got.stderr)
	}
	return got.stdout
}

// changed writes a copy of a manifest in testdata with some words replaced, and returns its path.
func changed(t *testing.T, manifest string, oldnew ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cluster.repo, manifest))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(text), oldnew[i]) {
			t.Fatalf("%s has no %q to change", manifest, oldnew[i])
		}
	}
	path := filepath.Join(t.TempDir(), filepath.Base(manifest))
	if err := os.WriteFile(path, []byte(strings.NewReplacer(oldnew...).Replace(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// pods returns the lines of `get pod --no-headers` as fields: name, ready, status, restarts, age.
func (n namespace) pods(t *testing.T, args ...string) (pods [][]string) {
	t.Helper()
	for line := range strings.Lines(n.must(t, append([]string{"get", "pod", "--no-headers"}, args...)...)) {
		pods = append(pods, strings.Fields(line))
	}
	return pods
}

// waitForPods waits until there are exactly count pods, each with all its containers running, whose names match
// pattern. It returns the names, sorted.
func (n namespace) waitForPods(t *testing.T, count int, pattern string, args ...string) (names []string) {
	t.Helper()
	want := regexp.MustCompile("^" + pattern + "$")
	eventually(t, func() error {
		names = nil
		pods := n.pods(t, args...)
		for _, pod := range pods {
			ready := regexp.MustCompile(`^(\d+)/(\d+)$`).FindStringSubmatch(pod[1])
			if !want.MatchString(pod[0]) || ready == nil || ready[1] != ready[2] || pod[2] != "Running" {
				return fmt.Errorf("pods are %v, want %d running ones named %s", pods, count, pattern)
			}
			names = append(names, pod[0])
		}
		if len(pods) != count {
			return fmt.Errorf("there are %d pods, want %d: %v", len(pods), count, pods)
		}
		return nil
	})
	slices.Sort(names)
	return names
}

// value prints one value of an object.
func (n namespace) value(t *testing.T, object, jsonpath string) string {
	t.Helper()
	return n.must(t, "get", object, "-o", "jsonpath="+jsonpath)
}

func (n namespace) label() string { return "label=io.kubernetes.pod.namespace=" + n.name }

// containers returns the names that Docker has for the namespace's containers, ended ones too.
func (n namespace) containers(t *testing.T, filters ...string) []string {
	t.Helper()
	args := []string{"ps", "--all", "--format", "{{.Names}}", "--filter", n.label(), "--filter", n.in.label()}
	for _, filter := range filters {
		args = append(args, "--filter", filter)
	}
	names, err := n.in.docker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(names)
}

// waitUntilGone waits until neither the API nor Docker has a pod in the namespace.
func (n namespace) waitUntilGone(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if pods, containers := n.pods(t), n.containers(t); len(pods)+len(containers) > 0 {
			return fmt.Errorf("there are still pods %v and containers %v", pods, containers)
		}
		return nil
	})
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
