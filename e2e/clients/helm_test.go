package clients

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/cli"
	"helm.sh/helm/v4/pkg/kube"
	release "helm.sh/helm/v4/pkg/release/v1"
)

const (
	helmRelease, helmNamespace = "greeter", "helm"
	// helmPatience bounds what Helm waits for.
	helmPatience = 2 * time.Minute
	// helmFailure is how long Helm waits for a Deployment that cannot become ready.
	helmFailure = 5 * time.Second
)

// Helm installs a chart of ours with all that charts bring, upgrades it, takes a failed upgrade back and uninstalls it.
func TestHelm(t *testing.T) {
	i := startInstance(t)
	chart, err := loader.Load("testdata/chart")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	config := action.NewConfiguration(action.ConfigurationSetLogger(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Helm's log:\n%s", log.String())
		}
	})
	t.Setenv("HOME", i.scratch) // where what it knows of the API is kept
	settings := cli.New()
	settings.KubeConfig = i.kubeconfig
	settings.SetNamespace(helmNamespace)
	if err := config.Init(settings.RESTClientGetter(), helmNamespace, "secret"); err != nil {
		t.Fatal(err)
	}
	h := helm{i, config}

	install := action.NewInstall(config)
	install.ReleaseName, install.Namespace, install.CreateNamespace = helmRelease, helmNamespace, true
	install.WaitStrategy, install.Timeout, install.ServerSideApply = kube.StatusWatcherStrategy, helmPatience, true
	if _, err := install.Run(chart, map[string]any{}); err != nil {
		t.Fatal("install:", err)
	}
	h.holds(t, 1, "deployed", "hello")
	// Of the hooks only the one stays that is not deleted on success.
	if got := h.get(t, "job", "-o", "name"); got != "job.batch/post-install\n" {
		t.Errorf("of the hooks there is %q", got)
	}
	password := h.get(t, "secret/keys", "-o", "jsonpath={.data.password}")
	h.test(t)

	upgrade := h.upgrade()
	if _, err := upgrade.Run(helmRelease, chart, map[string]any{"text": "good evening"}); err != nil {
		t.Fatal("upgrade:", err)
	}
	h.holds(t, 2, "deployed", "good evening")
	h.test(t)

	// The failed upgrade is revision 3, and what it is taken back to is 4.
	upgrade = h.upgrade()
	upgrade.Timeout, upgrade.RollbackOnFailure = helmFailure, true
	if _, err := upgrade.Run(helmRelease, chart, map[string]any{"image": "kube-lite-test/nowhere:latest"}); err == nil {
		t.Fatal("an upgrade to an image that does not exist succeeds")
	} else if !strings.Contains(err.Error(), "has been rolled back") {
		t.Errorf("the failed upgrade says %v", err)
	}
	h.holds(t, 4, "deployed", "good evening")

	rollback := action.NewRollback(config)
	rollback.Version, rollback.WaitStrategy, rollback.Timeout, rollback.ServerSideApply = 1, kube.StatusWatcherStrategy, helmPatience, "auto"
	if err := rollback.Run(helmRelease); err != nil {
		t.Fatal("rollback:", err)
	}
	h.holds(t, 5, "deployed", "hello")
	if got := h.get(t, "secret/keys", "-o", "jsonpath={.data.password}"); got != password {
		t.Errorf("the looked-up password changed from %s to %s", password, got)
	}

	uninstall := action.NewUninstall(config)
	uninstall.WaitStrategy, uninstall.Timeout = kube.StatusWatcherStrategy, helmPatience
	if _, err := uninstall.Run(helmRelease); err != nil {
		t.Fatal("uninstall:", err)
	}
	// Helm keeps definitions, and hooks that have no policy to go.
	if got := h.get(t, "deployment,replicaset,service,secret,greetings", "-o", "name"); got != "" {
		t.Errorf("after uninstall there is %q", got)
	}
}

// helm is one release.
type helm struct {
	in     *instance
	config *action.Configuration
}

func (h helm) get(t *testing.T, args ...string) string {
	t.Helper()
	return h.in.run(t, "", append([]string{"get", "--namespace=" + helmNamespace}, args...)...)
}

func (h helm) upgrade() *action.Upgrade {
	upgrade := action.NewUpgrade(h.config)
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout, upgrade.ServerSideApply = helmNamespace, kube.StatusWatcherStrategy, helmPatience, "auto"
	return upgrade
}

// holds checks the release's revision and that what it brought says text.
func (h helm) holds(t *testing.T, revision int, status, text string) {
	t.Helper()
	got, err := action.NewStatus(h.config).Run(helmRelease)
	if err != nil {
		t.Fatal(err)
	}
	if r := got.(*release.Release); r.Version != revision || r.Info.Status.String() != status {
		t.Errorf("the release has revision %d and is %s, want %d and %s", r.Version, r.Info.Status, revision, status)
	}
	if got := h.get(t, "deployment/"+helmRelease, "-o", "jsonpath={.status.readyReplicas} {.spec.template.spec.containers[0].args[2]}"); got != "1 "+text {
		t.Errorf("the Deployment has %q, want 1 %s", got, text)
	}
	if got := h.get(t, "greeting/"+helmRelease, "-o", "jsonpath={.spec.text} {.spec.loud}"); got != text+" true" {
		t.Errorf("the custom object has %q, want %s true", got, text)
	}
}

// test runs the chart's test.
func (h helm) test(t *testing.T) {
	t.Helper()
	testing := action.NewReleaseTesting(h.config)
	testing.Namespace, testing.Timeout = helmNamespace, helmPatience
	got, shutdown, err := testing.Run(helmRelease)
	if err == nil {
		err = shutdown()
	}
	if err != nil {
		t.Fatal("test:", err)
	}
	var logs bytes.Buffer
	if err := testing.GetPodLogs(&logs, got.(*release.Release)); err != nil || !strings.Contains(logs.String(), "POD LOGS: answers") {
		t.Errorf("the test's log is %q, %v", logs.String(), err)
	}
}
