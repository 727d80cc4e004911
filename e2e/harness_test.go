// Package e2e proves kube-lite from the outside: it starts an instance of its own with the real binary on the real
// Docker and uses it as a person would, through the command line. Each scenario_*_test.go is a page of that story.
//
// TestMain starts the instance and removes it; a test takes a namespace of its own with newNamespace, whose methods run
// kubectl's verbs in it. Nothing here imports the rest of the project: what a test knows, a user can see.
//
// The tests run only with KUBE_LITE_E2E=1, and as root; scripts/test sets it. KUBE_LITE_BIN names the binary to prove
// (default: one built for the occasion).
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience bounds each wait for something that should happen within seconds; the rest is for a loaded machine.
	patience = 2 * time.Minute
	// interval is how often a wait looks again.
	interval = 50 * time.Millisecond
	// commandLimit bounds one command; those that wait by themselves (rollout status, run, delete) need the most.
	commandLimit = 3 * time.Minute
)

// cluster is the instance under test. TestMain sets it before the first test and nobody changes it later.
var cluster *instance

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	if os.Getenv("KUBE_LITE_E2E") != "1" {
		fmt.Println("skipped: the end-to-end tests use this machine's Docker and need root: KUBE_LITE_E2E=1 go test ./e2e")
		return 0
	}
	var err error
	if cluster, err = newInstance(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer func() {
		if err := cluster.remove(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			code = 1
		}
	}()
	removeOnSignal()
	if err := cluster.start(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	code = m.Run()
	if denied, err := cluster.denied(); err != nil || len(denied) > 0 {
		fmt.Fprintf(os.Stderr, "e2e: parts of the instance lack rights (%v):\n%s\n", err, strings.Join(denied, "\n"))
		code = 1
	}
	return code
}

// unfinished are the instances that have something on the machine.
var unfinished struct {
	sync.Mutex
	instances []*instance
}

// removeOnSignal cleans up after Ctrl-C, which ends a test binary without running what is deferred.
func removeOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		unfinished.Lock() // for good: nothing is to start any more
		for _, i := range slices.Backward(unfinished.instances) {
			if err := i.remove(); err != nil {
				fmt.Fprintln(os.Stderr, "e2e:", err)
			}
		}
		os.Exit(1)
	}()
}

// instance is one kube-lite with everything that keeps it apart from others.
type instance struct {
	name    string // begins with "e2e-", which scripts/test cleans up after
	binary  string
	repo    string   // the working directory of every command, so that testdata/… works as a user would type it
	scratch string   // home and data directory are in it
	flags   []string // of start

	dockerHost string // of an engine of the test's own; empty: the machine's

	began, ready bool // how far start came: what there is to remove
}

// startInstance starts an instance beside the one that the tests share, for what would disturb the others, with flags of
// its own. It is removed when the test ends.
func startInstance(t *testing.T, flags ...string) *instance {
	t.Helper()
	return startInstanceOn(t, "", flags...)
}

// startInstanceOn starts one on an engine of the test's own.
func startInstanceOn(t *testing.T, dockerHost string, flags ...string) *instance {
	t.Helper()
	i, err := newInstance()
	if err != nil {
		t.Fatal(err)
	}
	i.binary, i.dockerHost = cluster.binary, dockerHost
	i.flags = append(i.withEngine(i.flags...), flags...)
	i.removeAtEnd(t)
	if err := i.up(); err != nil {
		t.Fatal(err)
	}
	return i
}

// removeAtEnd removes the instance when the test ends.
func (i *instance) removeAtEnd(t *testing.T) {
	t.Cleanup(func() {
		if err := i.remove(); err != nil {
			t.Error(err)
		}
	})
}

func newInstance() (*instance, error) {
	repo, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "kube-lite-e2e-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	network, err := freeNetwork()
	if err != nil {
		return nil, err
	}
	i := &instance{
		name:    fmt.Sprintf("e2e-%05x", rand.IntN(1<<20)),
		binary:  os.Getenv("KUBE_LITE_BIN"),
		repo:    repo,
		scratch: scratch,
		flags: []string{
			fmt.Sprintf("--api-port=%d", port),
			"--pod-cidr=" + podCIDR(network),
			fmt.Sprintf("--service-cidr=10.%d.0.0/16", 100+network),
		},
	}
	return i.withAudit()
}

// build makes what a machine in use has already: the images, and the binary unless one is given.
func (i *instance) build() error {
	if out, err := exec.Command(filepath.Join(i.repo, "scripts/images"), "test").CombinedOutput(); err != nil {
		return fmt.Errorf("scripts/images: %w: %s", err, out)
	}
	if i.binary != "" {
		return nil
	}
	i.binary = filepath.Join(i.scratch, "kube-lite")
	build := exec.Command("go", "build", "-o", i.binary, ".")
	build.Dir = i.repo
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// networks are those of the instances that are not removed yet: one that is stopped has no routes and wants its own back.
var networks struct {
	sync.Mutex
	taken []int
}

// release gives the network of an instance to the next one.
func (i *instance) release() {
	networks.Lock()
	defer networks.Unlock()
	networks.taken = slices.DeleteFunc(networks.taken, func(network int) bool { return i.flag("pod-cidr") == podCIDR(network) })
}

func podCIDR(network int) string { return fmt.Sprintf("10.%d.0.0/16", 200+network) }

// freeNetwork returns a number whose ranges nobody uses. They are beside the defaults, so that an instance in everyday
// use is not in the way.
func freeNetwork() (int, error) {
	networks.Lock()
	defer networks.Unlock()
	routes, err := output("ip", "-4", "route", "show", "table", "all")
	if err != nil {
		return 0, err
	}
	const count = 40
	first := rand.IntN(count)
	for n := range count {
		network := (first + n) % count
		inUse := strings.Contains(routes, fmt.Sprintf("10.%d.", 200+network)) || strings.Contains(routes, fmt.Sprintf("10.%d.", 100+network))
		if !inUse && !slices.Contains(networks.taken, network) {
			networks.taken = append(networks.taken, network)
			return network, nil
		}
	}
	return 0, fmt.Errorf("all of 10.100.0.0/16 to 10.139.0.0/16 and 10.200.0.0/16 to 10.239.0.0/16 are in use: %s", routes)
}

func (i *instance) dataDir() string { return filepath.Join(i.scratch, i.name) }

// command is kube-lite with args. HOME is empty, so that no kubeconfig of the user's takes part; Docker's own
// configuration does.
func (i *instance) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, i.binary, args...)
	cmd.Dir = i.repo
	docker := os.Getenv("DOCKER_CONFIG")
	if docker == "" {
		docker = filepath.Join(os.Getenv("HOME"), ".docker")
	}
	cmd.Env = append(os.Environ(), "HOME="+i.scratch, "KUBECONFIG=", "DOCKER_CONFIG="+docker,
		"KUBE_LITE_NAME="+i.name, "KUBE_LITE_DATA_DIR="+i.dataDir())
	// A grandchild that keeps the pipes open must not keep a test waiting.
	cmd.WaitDelay = time.Second
	return cmd
}

func (i *instance) start() error {
	if err := i.build(); err != nil {
		return err
	}
	return i.up()
}

// up starts the daemon.
func (i *instance) up() error {
	unfinished.Lock()
	if !i.began {
		i.began = true
		unfinished.instances = append(unfinished.instances, i)
	}
	unfinished.Unlock()
	if err := i.do(append([]string{"start"}, i.flags...)...); err != nil {
		return err
	}
	i.ready = true
	return nil
}

// do runs a command whose output matters only when it fails.
func (i *instance) do(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	if out, err := i.command(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("kube-lite %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// result is what a command that ran to its end said.
type result struct {
	stdout, stderr string
	code           int
}

// run runs kube-lite with args and stdin, whatever its exit code.
func (i *instance) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := i.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("kube-lite %s: %v: %s%s", strings.Join(args, " "), errors.Join(err, ctx.Err()), &stdout, &stderr)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
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
