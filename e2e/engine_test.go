package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// engineLimit is how long a dockerd may take to end: it gives its containers 15 s.
const engineLimit = 30 * time.Second

// engine is a dockerd of the test's own, for what the machine's, which others use, must not go through. It makes no
// rules, and its bridge is made by the test: a dockerd that is told to have none deletes docker0, whosever it is.
type engine struct {
	dir, socket string
	bridge      string
	daemon      *exec.Cmd
	ended       chan struct{}
}

// startEngine starts a dockerd that ends with the test and takes all that it had along.
func startEngine(t *testing.T) *engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "kube-lite-e2e-docker-")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{dir: dir, socket: filepath.Join(dir, "docker.sock")}
	t.Cleanup(func() { e.remove(t) })
	e.makeBridge(t)
	// Not the machine's own configuration, which may name other rules and bridges.
	if err := os.WriteFile(e.config(), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.start(t)
	return e
}

func (e *engine) host() string { return "unix://" + e.socket }

func (e *engine) config() string { return filepath.Join(e.dir, "daemon.json") }

func (e *engine) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// The namespaces count where the system has a containerd, which dockerd then shares.
	name := filepath.Base(e.dir)
	e.daemon = exec.Command("dockerd", "--host="+e.host(), "--data-root="+filepath.Join(e.dir, "data"),
		"--exec-root="+filepath.Join(e.dir, "exec"), "--pidfile="+filepath.Join(e.dir, "pid"),
		"--config-file="+e.config(),
		"--containerd-namespace="+name, "--containerd-plugins-namespace="+name+"-plugins",
		"--bridge="+e.bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false")
	e.daemon.Stdout, e.daemon.Stderr = log, log
	e.daemon.WaitDelay = time.Second
	e.ended = make(chan struct{})
	started := make(chan error, 1)
	go e.run(started)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if out, err := exec.Command("docker", "--host="+e.host(), "version").CombinedOutput(); err != nil {
			select {
			case <-e.ended:
				t.Fatalf("the second dockerd has ended:\n%s", e.log())
			default:
				return fmt.Errorf("the second dockerd does not answer: %s\n%s", out, e.log())
			}
		}
		return nil
	})
}

// makeBridge makes what dockerd needs instead of docker0; no container joins it. The address is of a range for tests,
// RFC 2544.
func (e *engine) makeBridge(t *testing.T) {
	t.Helper()
	e.bridge = fmt.Sprintf("kl-e2e-%05x", rand.IntN(1<<20))
	for _, args := range [][]string{
		{"link", "add", e.bridge, "type", "bridge"},
		{"address", "add", fmt.Sprintf("198.18.%d.1/24", rand.IntN(256)), "dev", e.bridge},
		{"link", "set", e.bridge, "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
}

// run starts dockerd and waits for its end. dockerd is told to end when this process dies, however it does; the kernel
// means the thread, so this one is kept.
func (e *engine) run(started chan<- error) {
	defer close(e.ended)
	runtime.LockOSThread()
	e.daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	err := e.daemon.Start()
	started <- err
	if err == nil {
		_ = e.daemon.Wait()
	}
}

func (e *engine) log() string {
	text, _ := output("tail", "--lines=20", filepath.Join(e.dir, "log"))
	return text
}

// load copies images from the machine's engine.
func (e *engine) load(t *testing.T, images ...string) {
	t.Helper()
	archive := filepath.Join(e.dir, "images.tar")
	docker(t, append([]string{"save", "--output=" + archive}, images...)...)
	docker(t, "--host="+e.host(), "load", "--input="+archive)
}

// importImage makes an image of a few megabytes that no other engine has.
func (e *engine) importImage(t *testing.T, ref string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(e.dir, "ballast.tar")
	if out, err := exec.Command("tar", "--create", "--file="+archive, "--directory="+dir, "ballast").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	docker(t, "--host="+e.host(), "import", archive, ref)
}

// stop ends dockerd as a service manager does, and with it its containers.
func (e *engine) stop(t *testing.T) {
	t.Helper()
	if e.daemon == nil || e.daemon.Process == nil {
		return
	}
	_ = e.daemon.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-e.ended:
	case <-time.After(engineLimit):
		_ = e.daemon.Process.Kill()
		<-e.ended
		t.Errorf("the second dockerd did not end within %v:\n%s", engineLimit, e.log())
	}
}

// remove stops dockerd and takes away what it leaves: mounts and files.
func (e *engine) remove(t *testing.T) {
	e.stop(t)
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if target := strings.Fields(line)[1]; strings.HasPrefix(target, e.dir+"/") {
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", target, err)
			}
		}
	}
	if err := os.RemoveAll(e.dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/sys/class/net/" + e.bridge); e.bridge == "" || err != nil {
		return
	}
	if out, err := exec.Command("ip", "link", "delete", e.bridge).CombinedOutput(); err != nil {
		t.Errorf("ip link delete %s: %v: %s", e.bridge, err, out)
	}
}
