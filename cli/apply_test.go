package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kube-lite/kube-lite/daemon"
)

const (
	goodManifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n"
	badManifest  = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndate: {}\n"
	twice        = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, name: b}\n"
	foreign      = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: a}\n"
)

// aRun is a kubectl run on an instance that does not run, whose daemon only
// counts its starts.
func aRun(t *testing.T, line string) (k *kubectl, starts *int) {
	t.Helper()
	cfg, err := daemon.Config{DataDir: t.TempDir()}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	starts = new(int)
	k = &kubectl{env: quiet(t), cfg: cfg, args: strings.Fields(line)}
	k.start = func(context.Context) error { *starts++; return nil }
	k.root = k.env.newKubectl(append([]string{programName}, k.args...), nil)
	k.call = read(k.root, k.args)
	return k, starts
}

func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The files that are checked are those that kubectl reads.
func TestSourcesAreKubectls(t *testing.T) {
	t.Chdir(write(t, map[string]string{
		"a.yaml": "", "b.yml": "", "c.json": "", "d.txt": "", "dir/e.yaml": "", "dir/sub/f.yaml": "", "dir/README.md": "", "x[1].yaml": "",
	}))
	tests := []struct{ line, want string }{
		{"apply -f a.yaml", "a.yaml"},
		{"apply -f d.txt", "d.txt"},
		{"apply -f a.yaml,b.yml -f c.json", "a.yaml b.yml c.json"},
		{"apply -f dir", "dir/e.yaml"},
		{"apply -R -f dir", "dir/e.yaml dir/sub/f.yaml"},
		{"apply -f *.yaml", "a.yaml x[1].yaml"},
		{"apply -f x[1].yaml", "x[1].yaml"},
		{"apply -f https://example.com/a.yaml", ""},
		{"apply -k dir", ""},
		{"apply -f a.yaml --help", ""},
		{"apply -f a.yaml --bogus", ""},
		{"delete -f a.yaml", ""},
		{"create -f a.yaml", "a.yaml"},
		{"replace -f a.yaml", "a.yaml"},
	}
	for _, tt := range tests {
		k, _ := aRun(t, tt.line)
		files, err := k.files()
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
		}
		var names []string
		for _, s := range files {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s reads %q, want %q", tt.line, got, tt.want)
		}
	}
	k, _ := aRun(t, "apply -f nothing.yaml")
	if _, err := k.files(); err == nil || err.Error() != `the path "nothing.yaml" does not exist` {
		t.Errorf("a file that does not exist: %v", err)
	}
}

// What was checked on standard input is there for kubectl once more, however
// large.
func TestStandardInputIsReadTwice(t *testing.T) {
	stdin := os.Stdin
	t.Cleanup(func() { os.Stdin = stdin })
	text := strings.Repeat("---\n"+goodManifest, 10_000)
	k, _ := aRun(t, "apply -f -")
	k.env.stdin = strings.NewReader(text)
	files, err := k.files()
	if err != nil || len(files) != 1 || files[0].Name != "STDIN" || string(files[0].Data) != text {
		t.Fatalf("%d files, %v", len(files), err)
	}
	again, err := io.ReadAll(os.Stdin)
	if err != nil || string(again) != text {
		t.Errorf("kubectl reads %d bytes of %d, %v", len(again), len(text), err)
	}
}

// A daemon that is not running is started for good manifests only.
func TestTheDaemonIsStartedForGoodManifestsOnly(t *testing.T) {
	t.Chdir(write(t, map[string]string{"good.yaml": goodManifest, "bad.yaml": badManifest, "foreign.yaml": foreign, "twice.yaml": twice}))
	const warning = "twice.yaml:3:21: metadata.name: duplicate key, first on line 3\n"
	tests := []struct {
		line   string
		starts int
		stderr string
		err    string
	}{
		{"apply -f good.yaml", 1, "kube-lite is not running: starting it\n", ""},
		{"apply -f good.yaml -f bad.yaml", 0, "bad.yaml:4:1: date: unknown field (did you mean \"data\"?)\n", "1 problem: nothing was applied"},
		{"create -f bad.yaml", 0, "bad.yaml:4:1: date: unknown field (did you mean \"data\"?)\n", "1 problem: nothing was created"},
		{"apply -f foreign.yaml", 1, "kube-lite is not running: starting it\n", ""},
		{"apply -f bad.yaml --validate=false", 1, "kube-lite is not running: starting it\n", ""},
		{"apply -f bad.yaml --validate=warn", 1, "kube-lite is not running: starting it\n", ""},
		{"apply -f bad.yaml --context x", 0, "", ""},
		{"apply -f twice.yaml", 0, warning, "1 problem: nothing was applied"},
		{"apply -f twice.yaml --validate", 0, warning, "1 problem: nothing was applied"},
		{"apply -f twice.yaml --validate=true", 0, warning, "1 problem: nothing was applied"},
		{"create -f twice.yaml --validate=strict --context x", 0, warning, "1 problem: nothing was created"},
		{"apply -f twice.yaml --validate=warn", 1, "Warning: " + warning + "kube-lite is not running: starting it\n", ""},
		{"apply -f twice.yaml --validate=warn --context x", 0, "Warning: " + warning, ""},
		{"apply -f twice.yaml --validate=ignore", 1, "kube-lite is not running: starting it\n", ""},
		{"apply -f twice.yaml --validate=false", 1, "kube-lite is not running: starting it\n", ""},
		{"apply -f twice.yaml --validate=F", 1, "kube-lite is not running: starting it\n", ""},
		{"run x --image=y", 1, "kube-lite is not running: starting it\n", ""},
		{"create ns x", 1, "kube-lite is not running: starting it\n", ""},
		{"create ns x --dry-run=client", 0, "", ""},
		{"get pods", 0, "", `not running: start it with "kube-lite start"`},
		{"replace -f good.yaml", 0, "", `not running: start it with "kube-lite start"`},
		{"get --help", 0, "", ""},
	}
	for _, tt := range tests {
		k, starts := aRun(t, tt.line)
		err := k.prepare()
		message := ""
		if err != nil {
			message = err.Error()
		}
		if message != tt.err || *starts != tt.starts {
			t.Errorf("%s: %d starts, %q; want %d, %q", tt.line, *starts, message, tt.starts, tt.err)
		}
		if got := k.env.stderr.(*bytes.Buffer).String(); got != tt.stderr {
			t.Errorf("%s: stderr %q, want %q", tt.line, got, tt.stderr)
		}
	}
}

// A start that fails is the verb's failure.
func TestAFailedStartIsReported(t *testing.T) {
	k, _ := aRun(t, "run x --image=y")
	refused := errors.New("no Docker")
	k.start = func(context.Context) error { return refused }
	if err := k.prepare(); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}

// Kinds that only the server can know are asked for once for each version; a
// server that does not answer is believed to know them.
func TestTheServerSaysWhatItServes(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		switch r.URL.Path {
		case "/apis/example.com/v1":
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(metav1.APIResourceList{GroupVersion: "example.com/v1",
				APIResources: []metav1.APIResource{{Name: "widgets", Kind: "Widget"}}})
		case "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com":
			_, _ = io.WriteString(w, `{"spec":{"group":"example.com"}}`)
		case "/apis/broken.com/v1":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	k, _ := aRun(t, "apply -f x.yaml")
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c"}
	config.CurrentContext = "c"
	if err := clientcmd.WriteToFile(*config, k.cfg.KubeconfigPath()); err != nil {
		t.Fatal(err)
	}
	served := newServed(k.cfg.KubeconfigPath())
	for gvk, want := range map[string]bool{
		"example.com/v1 Widget": true, "example.com/v1 WidgetList": true, "example.com/v1 Gadget": false,
		"example.com/v2 Widget": false, "broken.com/v1 Widget": true,
	} {
		version, kind, _ := strings.Cut(gvk, " ")
		gv, err := schema.ParseGroupVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		if got := served.knows(gv.WithKind(kind)); got != want {
			t.Errorf("%s: %v, want %v", gvk, got, want)
		}
	}
	for kind, want := range map[string]bool{"Widget": true, "Gadget": false} {
		crd := served.definition(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: kind})
		if got := crd != nil && crd.Spec.Group == "example.com"; got != want {
			t.Errorf("there is a definition of %s: %v, want %v", kind, got, want)
		}
	}
	slices.Sort(asked)
	asked = slices.DeleteFunc(asked, func(path string) bool { return strings.HasPrefix(path, definitionsPath) })
	want := []string{"/apis/broken.com/v1", "/apis/example.com/v1", "/apis/example.com/v2"}
	if got := slices.Compact(slices.Clone(asked)); !slices.Equal(got, want) || len(asked) > len(want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}
