package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kube-lite/kube-lite/daemon"
)

// playInstance plays an instance that runs until the test ends: its lock is held, and the handler is its API.
func playInstance(t *testing.T, api http.Handler) (dataDir string) {
	t.Helper()
	dataDir = t.TempDir()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["kube-lite"] = &clientcmdapi.Context{Cluster: "c"}
	config.CurrentContext = "kube-lite"
	if err := clientcmd.WriteToFile(*config, filepath.Join(dataDir, "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(dataDir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(lock).Encode(daemon.Info{Name: daemon.DefaultName, PID: os.Getpid(), Ready: true}); err != nil {
		t.Fatal(err)
	}
	return dataDir
}
