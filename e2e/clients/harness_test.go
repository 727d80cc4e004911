package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// patience bounds each wait for something that should happen within seconds; the rest is for a loaded machine.
	patience = 2 * time.Minute
	// interval is how often a wait looks again.
	interval = 100 * time.Millisecond
)

func TestMain(m *testing.M) {
	if os.Getenv("KUBE_LITE_E2E") != "1" || os.Getenv("KUBE_LITE_BIN") == "" {
		fmt.Println("skipped: these tests use this machine's Docker and need root: KUBE_LITE_E2E=1 KUBE_LITE_BIN=…/kube-lite")
		return
	}
	os.Exit(m.Run())
}

// instance is one kube-lite. Its name begins with "e2e-", which scripts/test cleans up after.
type instance struct {
	binary, name, scratch, kubeconfig string
	port                              int
}

// startInstance starts an instance that is removed when the test ends.
func startInstance(t *testing.T) *instance {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	scratch := t.TempDir()
	i := &instance{
		binary: os.Getenv("KUBE_LITE_BIN"), name: fmt.Sprintf("e2e-%05x", rand.IntN(1<<20)), scratch: scratch,
		kubeconfig: filepath.Join(scratch, "kubeconfig"), port: port,
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := exec.Command("tail", "--lines=30", filepath.Join(i.scratch, i.name, "daemon.log")).Output()
			t.Logf("the end of the daemon's log:\n%s", log)
		}
		i.run(t, "", "reset", "--yes")
	})
	i.start(t)
	if err := os.WriteFile(i.kubeconfig, []byte(i.run(t, "", "kubeconfig")), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *instance) start(t *testing.T) {
	t.Helper()
	i.run(t, "", "start", fmt.Sprintf("--api-port=%d", i.port))
}

// kill ends the daemon as a power cut would.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	var status struct{ PID int }
	if err := json.Unmarshal([]byte(i.run(t, "", "status", "-o", "json")), &status); err != nil || status.PID <= 1 {
		t.Fatalf("status -o json: pid %d, %v", status.PID, err)
	}
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if err := syscall.Kill(status.PID, 0); err == nil {
			return fmt.Errorf("the daemon still runs as %d", status.PID)
		}
		return nil
	})
}

// run runs a command of kube-lite that has to succeed, and returns what it printed.
func (i *instance) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := i.try(stdin, args...)
	if err != nil {
		t.Errorf("%v", err)
		t.FailNow()
	}
	return out
}

// try runs a command of kube-lite.
func (i *instance) try(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, i.binary, args...)
	cmd.Env = append(os.Environ(), "HOME="+i.scratch, "KUBECONFIG=", "KUBE_LITE_NAME="+i.name, "KUBE_LITE_DATA_DIR="+filepath.Join(i.scratch, i.name))
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kube-lite %s: %w: %s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out), nil
}

func (i *instance) config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", i.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// eventually waits until holds returns nil, and fails with its last error when patience is at an end.
func eventually(t *testing.T, holds func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(interval) {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, err)
		}
	}
}
