package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-lite/kube-lite/netproxy"
)

// Parts of the comparison with kube-proxy run in processes of their own. They are this program with one of these words.
const (
	proxiesPart  = "proxies"  // measureProxies, in a network namespace
	netproxyPart = "netproxy" // runNetproxy: the proxy of kube-lite alone
	connectPart  = "connect"  // runConnect, in a pod
	acceptPart   = "accept"   // runAccept, in a pod
)

var parts = map[string]func(context.Context, []string) error{
	proxiesPart: measureProxies, netproxyPart: runNetproxy, connectPart: runConnect, acceptPart: runAccept,
}

// proxyProgram is one of the two that are compared, in one mode.
type proxyProgram struct {
	name  string
	start func(context.Context) (*runningProxy, error)
}

// runningProxy is a process. firstSync waits for the end of its first pass, which began when all objects were there, and
// returns how long it took, in ms.
type runningProxy struct {
	cmd       *exec.Cmd
	firstSync func(context.Context) (float64, error)
}

// stop leaves no rules.
func (r *runningProxy) stop(ctx context.Context) error {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait() // it was killed, which is an error
	return program(context.WithoutCancel(ctx), "", "nft", "flush", "ruleset")
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ourProxy is package netproxy in a process of its own, so that both read the same API by the same way.
func ourProxy(l *proxyLab, mode netproxy.Mode) proxyProgram {
	return proxyProgram{"kube-lite", func(ctx context.Context) (*runningProxy, error) {
		cmd := exec.CommandContext(ctx, "/proc/self/exe", netproxyPart, "-kubeconfig="+l.kubeconfig, "-mode="+string(mode))
		cmd.Stderr = os.Stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		return &runningProxy{cmd, func(context.Context) (float64, error) {
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				return 0, fmt.Errorf("it ended before its first pass: %w", err)
			}
			return strconv.ParseFloat(strings.TrimSpace(line), 64)
		}}, cmd.Start()
	}}
}

// runNetproxy prints what its first pass took, in ms, and goes on until it is killed.
func runNetproxy(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(netproxyPart, flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "")
	mode := flags.String("mode", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	const name = "bench-proxy"
	kernel, err := netproxy.Find(ctx, name, netproxy.Mode(*mode), false, nil)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	core := factory.Core().V1()
	proxy, err := netproxy.New(core.Services(), factory.Discovery().V1().EndpointSlices(), core.Pods(), netproxy.Options{
		Instance: name, Bridge: proxyBridge, NodeName: proxyNode, PodCIDR: proxyPods, ServiceCIDR: proxyServices, Kernel: kernel,
	})
	if err != nil {
		return err
	}
	if err := proxy.EnforcePolicies(factory.Networking().V1().NetworkPolicies(), core.Namespaces(), core.Pods()); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		began := time.Now()
		select {
		case <-ctx.Done():
		case <-proxy.Ready():
			fmt.Println(milliseconds(time.Since(began)))
		}
		return nil
	})
	group.Go(func() error { return proxy.Run(ctx) })
	return group.Wait()
}

// kubeProxy is upstream's. What its first pass took is a metric of it.
func kubeProxy(l *proxyLab, mode netproxy.Mode) proxyProgram {
	return proxyProgram{"kube-proxy", func(ctx context.Context) (*runningProxy, error) {
		cmd := exec.CommandContext(ctx, l.kubeProxy, "--kubeconfig="+l.kubeconfig, "--proxy-mode="+string(mode),
			"--hostname-override="+proxyNode, "--cluster-cidr="+proxyPods.String(),
			// What is the machine's, not a namespace's, stays as it is.
			"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0")
		return &runningProxy{cmd, kubeProxyFirstSync}, cmd.Start()
	}}
}

// kubeProxyMetrics is where kube-proxy has them if it is not told otherwise.
const kubeProxyMetrics = "http://127.0.0.1:10249/metrics"

func kubeProxyFirstSync(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		sum, count, err := kubeProxySyncs(ctx)
		if count > 0 {
			return sum / count * 1000, nil
		}
		if e := sleep(ctx, peerLook); e != nil {
			return 0, fmt.Errorf("kube-proxy tells of no pass: %w", errors.Join(err, e))
		}
	}
}

// kubeProxySyncs returns how long all full passes over IPv4 took together, in seconds, and how many there were.
func kubeProxySyncs(ctx context.Context) (sum, count float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, kubeProxyMetrics, nil)
	if err != nil {
		return 0, 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	const metric = "kubeproxy_sync_full_proxy_rules_duration_seconds"
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if !strings.HasPrefix(name, metric) || !strings.Contains(name, `"IPv4"`) {
			continue
		}
		switch number, _ := strconv.ParseFloat(value, 64); strings.TrimPrefix(name[:strings.Index(name, "{")], metric) {
		case "_sum":
			sum = number
		case "_count":
			count = number
		}
	}
	return sum, count, nil
}

// runAccept takes every connection at some ports and resets it, so that no port of either side has to rest afterwards.
func runAccept(ctx context.Context, ports []string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, port := range ports {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", ":"+port)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = listener.Close() })
		group.Go(func() error {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return err
				}
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		})
	}
	fmt.Println("listening")
	return group.Wait()
}

// connectFrom has the client pod connect to an address for a while, and returns how often it could in a second.
func connectFrom(ctx context.Context, to fmt.Stringer) (float64, error) {
	var stdout strings.Builder
	cmd := inPod(ctx, "client", connectPart, to.String())
	cmd.Stdout = &stdout
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("connecting to %s: %w", to, err)
	}
	return strconv.ParseFloat(strings.TrimSpace(stdout.String()), 64)
}

// runConnect makes one connection after the other, each when the other side has reset the one before, and prints how many
// it made in a second.
func runConnect(ctx context.Context, args []string) error {
	began, made := time.Now(), 0
	for ; time.Since(began) < connectTurn; made++ {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", args[0])
		if errors.Is(err, syscall.ECONNRESET) {
			continue // it was there, and is over
		}
		if err != nil {
			return err
		}
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	fmt.Println(float64(made) / time.Since(began).Seconds())
	return nil
}
