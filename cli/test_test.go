package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kube-lite/kube-lite/verdict"
)

// file writes one into a folder of the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is wrong with a command line or with manifests is said before anything is made, with exit code 2.
func TestTestRefusesBeforeItMakesAnything(t *testing.T) {
	t.Setenv("GITHUB_ACTIONS", "")
	good := file(t, "good.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
	bad := file(t, "bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndate: {}\n")
	broken := file(t, "broken.yaml", "kind: [\n")
	checks := file(t, "checks.yaml", "checks:\n- urll: http://web/\n")
	for _, f := range []struct{ args, want string }{
		{"", "give manifests with -f, or a kustomization with -k"},
		{"-f " + good + " more", `unexpected argument "more"`},
		{"-f " + good + " --chek x", "flag provided but not defined: -chek"},
		{"-f " + good + " --check web", `must begin with http:// or https://`},
		{"-f " + good + " --exec job/smoke", "--exec job/smoke: there is no Job of this name in the manifests"},
		{"-f " + good + " --exec deploy/web", "deploy/web needs a command"},
		{"-f " + good + " --check-file " + checks, `checks.yaml:2:3: checks[0].urll: unknown field (did you mean "url"?)`},
		{"-f " + good + " --wait 0s", "--wait 0s: it must be longer than 0"},
		{"-f " + good + " --junit /nonexistent/report.xml", "--junit: stat /nonexistent"},
		{"-f " + good + " --logs " + good, "--logs: " + good + " is no directory"},
		{"-f " + good + " --context a --docker-host b", "--docker-host is of an instance"},
		{"-f " + bad, `bad.yaml:4:1: date: unknown field (did you mean "data"?)`},
		{"-f " + broken, "broken.yaml:"},
		{"-f /nonexistent.yaml", `the path "/nonexistent.yaml" does not exist`},
	} {
		var stdout, stderr bytes.Buffer
		e := &env{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}
		err := newApp(e).RunContext(t.Context(), append([]string{"kube-lite", "test"}, strings.Fields(f.args)...))
		var exit cli.ExitCoder
		if !errors.As(err, &exit) || exit.ExitCode() != exitManifests {
			t.Errorf("test %s: %v, want exit code 2", f.args, err)
			continue
		}
		if said := stderr.String() + exit.Error(); !strings.Contains(said, f.want) || strings.Contains(stdout.String(), "Instance") {
			t.Errorf("test %s: %s, want %s", f.args, said, f.want)
		}
	}
}

func TestExitCodesOfTest(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	refused := apierrors.NewBadRequest("no")
	for _, f := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"an object that the API refuses", t.Context(), fmt.Errorf("Service a: %w", refused), exitManifests},
		{"a kind that nobody defines", t.Context(), &meta.NoKindMatchError{}, exitManifests},
		{"a login that is not valid", t.Context(), apierrors.NewUnauthorized("who?"), exitMachine},
		{"a server that does not answer", t.Context(), &url.Error{Op: "Get", URL: "https://x", Err: errors.New("refused")}, exitMachine},
		{"the end of the time", late, refused, exitNotReady},
	} {
		if got := codeOf(f.ctx, f.err); got != f.want {
			t.Errorf("%s: %d, want %d", f.name, got, f.want)
		}
	}
	if got := notPassed(canceled, exitCheckFailed); got != exitMachine {
		t.Errorf("interrupted: %d", got)
	}
	if got := notPassed(t.Context(), exitNotReady); got != exitNotReady {
		t.Errorf("not ready: %d", got)
	}
}

// configMap is one as a manifest has it.
func configMap(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name, "uid": "uid-" + name}, "data": map[string]any{"by": "test"},
	}}
}

// On a cluster of others only what the run created is removed, the last first.
func TestTestRemovesWhatItCreated(t *testing.T) {
	theirs := configMap("theirs")
	theirs.SetNamespace("shop")
	client := dynamicfake.NewSimpleDynamicClient(scheme.Scheme, theirs)
	client.PrependReactor("patch", "configmaps", func(a k8stesting.Action) (bool, runtime.Object, error) { // server-side apply is the server's
		return a.(k8stesting.PatchAction).GetPatchType() == types.ApplyPatchType, theirs, nil
	})
	c := &cluster{Cluster: verdict.Cluster{Dynamic: client, Namespace: "shop", Near: true}, mapper: resettable{meta.NewDefaultRESTMapper(nil)}}
	c.mapper.(resettable).Add(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, meta.RESTScopeNamespace)
	for _, name := range []string{"mine", "theirs", "also-mine"} {
		if _, err := c.apply(t.Context(), configMap(name)); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.applied) != 3 || len(c.created) != 2 {
		t.Fatalf("applied %v, created %v", c.applied, c.created)
	}
	if err := c.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 1 || left.Items[0].GetName() != "theirs" {
		t.Errorf("left are %v, %v", left, err)
	}
	var deleted []string
	for _, a := range client.Actions() {
		if d, ok := a.(interface{ GetName() string }); ok && a.GetVerb() == "delete" {
			deleted = append(deleted, d.GetName())
		}
	}
	if got := strings.Join(deleted, " "); got != "also-mine mine" {
		t.Errorf("deleted in the order %s", got)
	}
}

// resettable is a mapper that has nothing to reset.
type resettable struct{ *meta.DefaultRESTMapper }

// Reset is meta.ResettableRESTMapper's.
func (resettable) Reset() {}
