package cli

import (
	"io"
	"os"
	"path/filepath"
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
	for name, test := range map[string]struct{ before, current string }{
		"no file yet":  {"", "kube-lite"},
		"with another": {work, "work"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config")
			t.Setenv(clientcmd.RecommendedConfigPathEnvVar, path)
			if test.before != "" {
				if err := os.WriteFile(path, []byte(test.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			e := &env{stdout: io.Discard}
			for _, server := range []string{"https://127.0.0.1:6443", "https://127.0.0.1:6444"} { // the port has moved
				if err := e.merge(instanceConfig(t, server)); err != nil {
					t.Fatal(err)
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
