package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func TestMergeAddsTheInstanceAndKeepsTheRest(t *testing.T) {
	const work = `
apiVersion: v1
kind: Config
current-context: work
clusters: [{name: work, cluster: {server: "https://work.example"}}]
contexts: [{name: work, context: {cluster: work, user: me, namespace: team}}]
users: [{name: me, user: {token: secret}}]
`
	for name, test := range map[string]struct {
		before, current string
		mode            os.FileMode
		use             bool
		says            string // the first time, and then
		again           string
	}{
		"no file yet": {
			current: "kube-lite", says: "added to PATH\nit is the current context now\n",
			again: "updated in PATH\nit is the current context\n",
		},
		"with another": {
			before: work, mode: 0o600, current: "work", says: "added to PATH\nthe current context is still \"work\": --use switches\n",
			again: "updated in PATH\nthe current context is still \"work\": --use switches\n",
		},
		"with another, --use": {
			before: work, mode: 0o644, use: true, current: "kube-lite",
			says:  "added to PATH\nit is the current context now\nits mode was 644 and is 600 now: it holds the key of the instance's admin\n",
			again: "updated in PATH\nit is the current context\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config")
			t.Setenv(clientcmd.RecommendedConfigPathEnvVar, path)
			if test.before != "" {
				if err := os.WriteFile(path, []byte(test.before), test.mode); err != nil {
					t.Fatal(err)
				}
			}
			for _, server := range []struct{ at, says string }{{"https://127.0.0.1:6443", test.says}, {"https://127.0.0.1:6444", test.again}} { // the port has moved
				var stdout strings.Builder
				e := &env{stdout: &stdout}
				if err := e.merge(instanceConfig(t, server.at), test.use); err != nil {
					t.Fatal(err)
				}
				if got, want := stdout.String(), "context \"kube-lite\" "+strings.ReplaceAll(server.says, "PATH", path); got != want {
					t.Errorf("says:\n%swant:\n%s", got, want)
				}
				if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
					t.Errorf("the file's mode is %v, %v", info.Mode(), err)
				}
			}
			got, err := clientcmd.LoadFromFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got.CurrentContext != test.current {
				t.Errorf("the current context is %q, want %q", got.CurrentContext, test.current)
			}
			if c := got.Clusters["kube-lite"]; c == nil || c.Server != "https://127.0.0.1:6444" || got.Contexts["kube-lite"] == nil || got.AuthInfos["kube-lite"] == nil {
				t.Errorf("the instance is not there: %+v", got)
			}
			if test.before != "" && (got.Clusters["work"] == nil || got.AuthInfos["me"] == nil || got.Contexts["work"].Namespace != "team") {
				t.Errorf("the user's own entries are gone: %+v", got)
			}
		})
	}
}

// instanceConfig is read from a file, as the instance's is.
func instanceConfig(t *testing.T, server string) *clientcmdapi.Config {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["kube-lite"] = &clientcmdapi.Cluster{Server: server}
	config.AuthInfos["kube-lite"] = &clientcmdapi.AuthInfo{Token: "admin"}
	config.Contexts["kube-lite"] = &clientcmdapi.Context{Cluster: "kube-lite", AuthInfo: "kube-lite"}
	config.CurrentContext = "kube-lite"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}
