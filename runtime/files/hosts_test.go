package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kube-lite/kube-lite/runtime/pods"
	v1 "k8s.io/api/core/v1"
)

func TestHostsFile(t *testing.T) {
	pod := testPod()
	pod.Spec.Subdomain = "peers"
	pod.Spec.HostAliases = []v1.HostAlias{{IP: "1.2.3.4", Hostnames: []string{"one", "uno"}}}
	got := string(hosts(pod, pods.IPs{"10.244.0.2"}, "cluster.local", nil))
	for _, line := range []string{"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n", "10.244.0.2\tweb.peers.ns.svc.cluster.local\tweb\n", "# Entries added by HostAliases.\n1.2.3.4\tone\tuno\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
	if got := string(hosts(pod, pods.IPs{"10.0.0.1"}, "cluster.local", []byte("10.0.0.1 machine\n"))); !strings.HasPrefix(got, "# Kubernetes-managed hosts file (host network).\n10.0.0.1 machine\n") || strings.Contains(got, "peers") {
		t.Errorf("in the host's network:\n%s", got)
	}
	other := "other.example"
	pod.Spec.HostnameOverride = &other
	if got := string(hosts(pod, pods.IPs{"10.244.0.2"}, "cluster.local", nil)); !strings.Contains(got, "\n10.244.0.2\tother.example\n") {
		t.Errorf("with another name:\n%s", got)
	}
}

func TestFileThatAContainerBlewUpIsWrittenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	for _, size := range []int64{0, 4, 1 << 42} { // far more than memory
		if err := errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(path, []byte("text")); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "text" {
			t.Errorf("of %d bytes: %q, %v", size, got, err)
		}
	}
}
