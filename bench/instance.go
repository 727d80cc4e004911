package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-lite/kube-lite/runtime/docker"
)

const (
	// patience bounds each wait: what takes longer is no matter of speed any more.
	patience = 2 * time.Minute
	// resetLimit bounds the removal of an instance, pods included.
	resetLimit = 3 * time.Minute
)

// instance is one kube-lite with everything that keeps it apart from others.
type instance struct {
	name    string
	binary  string
	repo    string
	scratch string // home and data directory are in it
	flags   []string

	status status
	client *kubernetes.Clientset
}

// status is what `kube-lite status -o json` says, as far as it is used.
type status struct {
	PID         int          `json:"pid"`
	DataDir     string       `json:"dataDir"`
	PodCIDR     netip.Prefix `json:"podCIDR"`
	ServiceCIDR netip.Prefix `json:"serviceCIDR"`
	Ingress     *struct {
		HTTP string `json:"http"`
	} `json:"ingress"`
}

func newBench(binary, coreDNS string, rounds int) (*bench, error) {
	b := &bench{rounds: rounds, log: os.Stderr, coreDNS: coreDNS}
	var err error
	if b.repo, err = os.Getwd(); err != nil {
		return nil, err
	}
	if b.binary, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("kube-lite needs root, and so does this")
	}
	return b, nil
}

// newInstance thinks of an instance; nothing of it is there yet. Its end is remove.
func (b *bench) newInstance() (*instance, error) {
	scratch, err := os.MkdirTemp("", "kube-lite-bench-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	pods, services, err := freeRanges()
	if err != nil {
		return nil, err
	}
	return &instance{
		name: fmt.Sprintf("bench-%05x", rand.IntN(1<<20)), binary: b.binary, repo: b.repo, scratch: scratch,
		flags: []string{
			fmt.Sprintf("--api-port=%d", port),
			"--pod-cidr=" + pods.String(),
			"--service-cidr=" + services.String(),
		},
	}, nil
}

// with starts an instance, with flags if there are any, has it used, and removes it.
func (b *bench) with(ctx context.Context, use func(*instance) error, flags ...string) (err error) {
	i, err := b.newInstance()
	if err != nil {
		return err
	}
	i.flags = append(i.flags, flags...)
	defer func() { err = errors.Join(err, i.remove()) }()
	if _, err := i.start(ctx); err != nil {
		return err
	}
	return use(i)
}

// freeRanges are beside the defaults, so that an instance in everyday use is not in the way, and clear of every network
// that this machine has an address in.
func freeRanges() (pods, services netip.Prefix, err error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return pods, services, err
	}
	const ranges = 40
	first := rand.IntN(ranges)
	for n := range ranges {
		network := byte((first + n) % ranges)
		pods = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200 + network}), 16)
		services = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + network}), 16)
		if !slices.ContainsFunc(addresses, func(a net.Addr) bool {
			used, err := netip.ParsePrefix(a.String())
			return err == nil && (used.Overlaps(pods) || used.Overlaps(services))
		}) {
			return pods, services, nil
		}
	}
	return pods, services, errors.New("every range from 10.200.0.0/16 to 10.239.0.0/16 is in use: reset instances that are not needed")
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// command is kube-lite with args. HOME is empty, so that no kubeconfig of the user's takes part.
func (i *instance) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, i.binary, args...)
	cmd.Dir = i.repo
	docker := os.Getenv("DOCKER_CONFIG")
	if docker == "" {
		docker = filepath.Join(os.Getenv("HOME"), ".docker")
	}
	cmd.Env = append(os.Environ(), "HOME="+i.scratch, "KUBECONFIG=", "DOCKER_CONFIG="+docker,
		"KUBE_LITE_NAME="+i.name, "KUBE_LITE_DATA_DIR="+filepath.Join(i.scratch, i.name))
	// Ctrl-C is for this process, which then removes the instance.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	return cmd
}

// do runs a command and returns what it printed.
func (i *instance) do(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := i.command(ctx, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("kube-lite %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// start returns how long `kube-lite start` took.
func (i *instance) start(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	_, err := i.do(ctx, append([]string{"start"}, i.flags...)...)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	if err := i.readStatus(ctx); err != nil {
		return 0, err
	}
	config, err := i.config()
	if err != nil {
		return 0, err
	}
	config.QPS = -1 // the client must not be what is measured
	i.client, err = kubernetes.NewForConfig(config)
	return took, err
}

func (i *instance) readStatus(ctx context.Context) error {
	text, err := i.do(ctx, "status", "-o", "json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &i.status); err != nil {
		return fmt.Errorf("kube-lite status: %w", err)
	}
	return nil
}

// config is the administrator's.
func (i *instance) config() (*rest.Config, error) {
	return clientcmd.BuildConfigFromFlags("", i.kubeconfig())
}

// load connects a client as the API's comparison does.
func (i *instance) load(ctx context.Context) (*apiLoad, error) {
	config, err := i.config()
	if err != nil {
		return nil, err
	}
	return newAPILoad(ctx, config)
}

// pids is apiServer's.
func (i *instance) pids() []int { return []int{i.status.PID} }

func (i *instance) kubeconfig() string { return filepath.Join(i.status.DataDir, "kubeconfig") }

// gateway is the pod bridge's own address, where DNS answers.
func (i *instance) gateway() netip.Addr { return i.status.PodCIDR.Masked().Addr().Next() }

// remove leaves nothing of the instance, however far it came. It has its own time: the caller's may be over.
func (i *instance) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), resetLimit)
	defer cancel()
	out, err := i.command(ctx, "reset", "--yes").CombinedOutput()
	switch {
	case err == nil:
	case strings.Contains(string(out), docker.ErrEndpointMiscounted.Error()): // no matter of speed
		fmt.Fprintf(os.Stderr, "%s", out)
	default:
		return fmt.Errorf("kube-lite --name=%s --data-dir=%s reset: %w: %s", i.name, filepath.Join(i.scratch, i.name), err, out)
	}
	return os.RemoveAll(i.scratch)
}
