package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigFile writes what `kube-lite kubeconfig` prints to a file.
func (i *instance) kubeconfigFile(t *testing.T) string {
	t.Helper()
	got := i.run(t, "", "kubeconfig")
	if got.code != 0 {
		t.Fatal(got.stderr)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(got.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (i *instance) config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", i.kubeconfigFile(t))
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func (i *instance) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(i.config(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestUnmodifiedKubectl(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "kubectl")
	binary := filepath.Join(t.TempDir(), "kubectl")
	// The flags of scripts/build, so that what it compiled need not be compiled again. Without a version of its own
	// kubectl finds itself too old for every server.
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3", "-o", binary, "k8s.io/kubernetes/cmd/kubectl")
	build.Dir, build.Env = cluster.repo, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	kubeconfig, home := cluster.kubeconfigFile(t), t.TempDir()
	kubectl := func(t *testing.T, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), commandLimit)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, append([]string{"--kubeconfig=" + kubeconfig, "--namespace=" + ns.name}, args...)...)
		cmd.Dir, cmd.Env = cluster.repo, append(os.Environ(), "HOME="+home)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("kubectl %s: %v: %s%s", strings.Join(args, " "), err, out, stderr.String())
		}
		return string(out)
	}

	if got := kubectl(t, "apply", "-f", "testdata/simple-deployment.yaml"); got != "deployment.apps/echo created\n" {
		t.Errorf("apply says %q", got)
	}
	if got := kubectl(t, "rollout", "status", "deployment/echo", "--timeout=120s"); !strings.Contains(got, "successfully rolled out") {
		t.Errorf("rollout status says %q", got)
	}
	if got := kubectl(t, "get", "deployment", "echo"); !strings.Contains(got, "3/3") {
		t.Errorf("get shows %s", got)
	}
	kubectl(t, "apply", "--server-side", "--force-conflicts", "-f", "testdata/simple-deployment.yaml")
	if got := kubectl(t, "exec", "deployment/echo", "-c", "nginx", "--", "sh", "-c", "echo $BACKEND_HOST"); got != "localhost:8080\n" {
		t.Errorf("exec prints %q", got)
	}
	if got := kubectl(t, "logs", "deployment/echo", "-c", "echo"); !strings.Contains(got, "start server") {
		t.Errorf("logs prints %q", got)
	}
	if got := kubectl(t, "explain", "deployment.spec.strategy"); !strings.Contains(got, "RollingUpdate") {
		t.Errorf("explain prints %q", got)
	}
	if got := kubectl(t, "diff", "-f", "testdata/simple-deployment.yaml"); got != "" {
		t.Errorf("diff of what was applied prints %q", got)
	}
	kubectl(t, "set", "env", "deployment/echo", "NEW=1")
	kubectl(t, "rollout", "status", "deployment/echo", "--timeout=120s")
	if got := kubectl(t, "rollout", "history", "deployment/echo"); !strings.Contains(got, "\n2 ") {
		t.Errorf("rollout history has no revision 2: %q", got)
	}
	if got := kubectl(t, "version"); strings.Count(got, "Version: v") < 3 {
		t.Errorf("version prints %q", got)
	}
	if got := kubectl(t, "auth", "can-i", "create", "pods"); got != "yes\n" {
		t.Errorf("auth can-i says %q", got)
	}
	kubectl(t, "delete", "-f", "testdata/simple-deployment.yaml")
	ns.waitUntilGone(t)
}

// withToken is a kubeconfig file whose user has a bearer token and nothing else.
func (i *instance) withToken(t *testing.T, token string) string {
	t.Helper()
	path := i.kubeconfigFile(t)
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "whoami")
	ns.must(t, "run", "robot", "--image=kube-lite-test/tool:latest", "--image-pull-policy=Never", "--", "sleep")
	ns.waitForPods(t, 1, "robot")
	token := ns.must(t, "exec", "robot", "--", "/tool", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
	for who, c := range map[string]struct{ flags, want []string }{
		"the admin":     {nil, []string{"kubernetes-admin", "[system:masters system:authenticated]", "X509SHA256="}},
		"somebody else": {[]string{"--as=jane", "--as-group=devs"}, []string{"jane", "[devs system:authenticated]"}},
		"a Pod": {[]string{"--kubeconfig=" + cluster.withToken(t, token)}, []string{
			"system:serviceaccount:whoami:default", "[system:serviceaccounts system:serviceaccounts:whoami system:authenticated]",
			"authentication.kubernetes.io/pod-name", "[robot]", "JTI=", "authentication.kubernetes.io/node-name",
		}},
	} {
		got := ns.must(t, append([]string{"auth", "whoami"}, c.flags...)...)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", who, want, got)
			}
		}
	}
}

// seen collects what an informer tells, as "added NAME VALUE".
type seen struct {
	mu     sync.Mutex // guards events
	events []string
}

func (s *seen) add(what string, object any) {
	if c, ok := object.(*corev1.ConfigMap); ok && c.Name != "kube-root-ca.crt" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, what+" "+c.Name+" "+c.Data["value"])
	}
}

// waitFor waits until the events so far end with these.
func (s *seen) waitFor(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if got := strings.Join(s.events, ", "); !strings.HasSuffix(got, strings.Join(want, ", ")) {
			return fmt.Errorf("the informer saw %s; want it to end with %s", got, strings.Join(want, ", "))
		}
		return nil
	})
}

// inform starts a shared informer of ConfigMaps that ends with the test.
func inform(t *testing.T, client kubernetes.Interface, namespace string) (*seen, cache.Store) {
	t.Helper()
	events := &seen{}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { events.add("added", object) },
		UpdateFunc: func(before, object any) {
			if before.(*corev1.ConfigMap).ResourceVersion != object.(*corev1.ConfigMap).ResourceVersion { // else it listed anew
				events.add("updated", object)
			}
		},
		DeleteFunc: func(object any) { events.add("deleted", object) },
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	factory.Start(ctx.Done())
	synced, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if !cache.WaitForCacheSync(synced.Done(), informer.HasSynced) {
		t.Fatal("the informer did not sync")
	}
	return events, informer.GetStore()
}

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"value": value}}
}

func TestInformersSeeChanges(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "informers")
	client := cluster.client(t)
	maps := client.CoreV1().ConfigMaps(ns.name)
	must := func(_ *corev1.ConfigMap, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(maps.Create(t.Context(), configMap("first", "1"), metav1.CreateOptions{}))
	events, store := inform(t, client, ns.name)
	events.waitFor(t, "added first 1")
	must(maps.Create(t.Context(), configMap("second", "1"), metav1.CreateOptions{}))
	must(maps.Update(t.Context(), configMap("second", "2"), metav1.UpdateOptions{}))
	if err := maps.Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	events.waitFor(t, "added first 1", "added second 1", "updated second 2", "deleted first 1")
	if _, ok, _ := store.GetByKey(ns.name + "/second"); !ok {
		t.Errorf("the store has %v", store.ListKeys())
	}
}

func TestWatchResumesWhereItEnded(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "watch")
	maps := cluster.client(t).CoreV1().ConfigMaps(ns.name)
	list, err := maps.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// What happens while nobody watches is told to the one who comes back.
	for _, name := range []string{"a", "b", "c"} {
		if _, err := maps.Create(t.Context(), configMap(name, "1"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := maps.Delete(t.Context(), "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	first, version := watchFrom(t, ns.name, list.ResourceVersion, 2)
	rest, _ := watchFrom(t, ns.name, version, 2)
	if got, want := append(first, rest...), "ADDED a, ADDED b, ADDED c, DELETED b"; strings.Join(got, ", ") != want {
		t.Errorf("two watches saw %v, want %s", got, want)
	}
}

// watchFrom returns count events after a revision, and the revision of the last one.
func watchFrom(t *testing.T, namespace, version string, count int) (events []string, last string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watcher, err := cluster.client(t).CoreV1().ConfigMaps(namespace).Watch(ctx, metav1.ListOptions{
		ResourceVersion: version, FieldSelector: "metadata.name!=kube-root-ca.crt",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	for len(events) < count {
		event, ok := <-watcher.ResultChan()
		if !ok || event.Type == watch.Error {
			t.Fatalf("the watch from %s ended after %v: %v", version, events, errors.Join(ctx.Err(), fmt.Errorf("%v", event.Object)))
		}
		object := event.Object.(*corev1.ConfigMap)
		events, last = append(events, string(event.Type)+" "+object.Name), object.ResourceVersion
	}
	return events, last
}

func TestInformerOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	client := i.client(t)
	maps := client.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(t.Context(), configMap("before", "1"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	events, _ := inform(t, client, "default")
	events.waitFor(t, "added before 1")
	i.kill(t)
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Update(t.Context(), configMap("before", "2"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	events.waitFor(t, "added before 1", "updated before 2")
}
