package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kube-lite/kube-lite/netproxy"
)

const (
	fewServices, someServices, mostServices = 10, 1_000, 10_000
	// proxyEndpoints is how many endpoints each Service has.
	proxyEndpoints = 2
	// proxyChanges is how many changes of an endpoint are measured in a round.
	proxyChanges = 6
	// proxyPause is longer than kube-proxy waits from one pass to the next (--iptables-min-sync-period).
	proxyPause = 1500 * time.Millisecond
	// proxyLimit bounds one try of a connection: one that is in the way of a change is lost, and repeated by TCP after a
	// second.
	proxyLimit = 10 * time.Millisecond
	// connectTurn is how long connections are made in one way before it is the other's turn.
	connectTurn = time.Second

	proxyNode   = "bench"
	proxyBridge = "pods0"
	podPort     = 8080
	// straightPort is another one of the server pod: by the same, either sort of connections would meet the other's in
	// the kernel's table.
	straightPort = 8081
)

var (
	proxyModes  = []netproxy.Mode{netproxy.ModeIPTables, netproxy.ModeNFTables}
	proxyCrowds = []int{someServices, mostServices}

	proxyPods     = netip.MustParsePrefix("10.244.0.0/16")
	proxyServices = netip.MustParsePrefix("10.96.0.0/16") // as in runAPIServer
	proxyGateway  = netip.MustParseAddr("10.244.0.1")
	serverPod     = netip.MustParseAddr("10.244.0.2")
	clientPod     = netip.MustParseAddr("10.244.0.3")
)

// proxyLab is a node with a bridge and two pods, and a kube-apiserver that knows its Services. It is alone in its network
// namespace.
type proxyLab struct {
	*probe
	client     *kubernetes.Clientset
	kubeconfig string
	kubeProxy  string
	rounds     int
	services   int
	// server is the ClusterIP that leads to the server pod.
	server netip.Addr
	values map[string]proxyValues
}

// measureProxies is the child of raceProxies. It prints the values as JSON.
func measureProxies(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet(proxiesPart, flag.ContinueOnError)
	rounds := flags.Int("rounds", 5, "")
	kubeProxy := flags.String("kube-proxy", "", "")
	kubeAPIServer := flags.String("kube-apiserver", "", "")
	etcd := flags.String("etcd", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := makeNode(ctx); err != nil {
		return err
	}
	b := &bench{rounds: *rounds, log: os.Stderr, kubeAPIServer: *kubeAPIServer, etcd: *etcd}
	api, err := b.newPeer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, api.remove()) }()
	if _, err := api.start(ctx); err != nil {
		return err
	}
	lab := &proxyLab{kubeProxy: *kubeProxy, rounds: *rounds, values: map[string]proxyValues{}}
	if err := lab.prepare(ctx, api); err != nil {
		return err
	}
	defer lab.listener.Close()
	if err := lab.measureAll(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(lab.values)
}

// makeNode makes the devices: a bridge with two pods. Both namespaces are this process's own.
func makeNode(ctx context.Context) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	for source, target := range map[string]string{"sysfs": "/sys", "tmpfs": "/run/netns"} {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(source, target, source, 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", target, err)
		}
	}
	commands := []string{
		"link set lo up",
		"link add " + proxyBridge + " type bridge",
		fmt.Sprintf("address add %s/%d dev %s", proxyGateway, proxyPods.Bits(), proxyBridge),
		"link set " + proxyBridge + " up",
		"route add default dev " + proxyBridge, // kube-apiserver takes its address from it
	}
	for name, address := range map[string]netip.Addr{"server": serverPod, "client": clientPod} {
		commands = append(commands,
			"netns add "+name,
			fmt.Sprintf("link add %s type veth peer name eth0 netns %s", name, name),
			fmt.Sprintf("link set %s master %s up", name, proxyBridge),
			fmt.Sprintf("-n %s address add %s/%d dev eth0", name, address, proxyPods.Bits()),
			fmt.Sprintf("-n %s link set lo up", name),
			fmt.Sprintf("-n %s link set eth0 up", name),
			fmt.Sprintf("-n %s route add default via %s", name, proxyGateway),
		)
	}
	// Else the refusals of kube-proxy, which are ICMP's, would be one a second.
	if err := program(ctx, "", "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0"); err != nil {
		return err
	}
	for _, c := range commands {
		if err := program(ctx, "", "ip", strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the Node, the Service whose endpoint changes, the one that leads to the server pod, and what a program
// needs to connect.
func (l *proxyLab) prepare(ctx context.Context, api *peer) error {
	config, err := api.config()
	if err != nil {
		return err
	}
	l.kubeconfig = filepath.Join(api.scratch, "kubeconfig")
	if err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"bench": {Server: config.Host, InsecureSkipTLSVerify: true}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"bench": {Token: config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"bench": {Cluster: "bench", AuthInfo: "bench"}},
		CurrentContext: "bench",
	}, l.kubeconfig); err != nil {
		return err
	}
	config.QPS = -1
	if l.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if _, err := l.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: proxyNode},
		Spec:       corev1.NodeSpec{PodCIDR: proxyPods.String(), PodCIDRs: []string{proxyPods.String()}},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: proxyGateway.String()}}},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	l.probe = &probe{client: l.client, address: proxyGateway, pause: proxyPause, limit: proxyLimit}
	if err := l.probe.prepare(ctx); err != nil {
		return err
	}
	service, err := l.client.CoreV1().Services(namespace).Create(ctx, selectorless("server"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if l.server, err = netip.ParseAddr(service.Spec.ClusterIP); err != nil {
		return err
	}
	_, err = l.client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, sliceOf("server", podPort, serverPod), metav1.CreateOptions{})
	return err
}

func (l *proxyLab) measureAll(ctx context.Context) error {
	if err := l.grow(ctx, fewServices); err != nil {
		return err
	}
	if err := l.measureConnections(ctx); err != nil {
		return err
	}
	for _, count := range proxyCrowds {
		if err := l.grow(ctx, count); err != nil {
			return err
		}
		for _, mode := range proxyModes {
			if err := l.race(ctx, mode); err != nil {
				return err
			}
		}
	}
	return l.measureConnections(ctx)
}

// grow has that many Services there, beside the two that prepare made.
func (l *proxyLab) grow(ctx context.Context, count int) error {
	fmt.Fprintf(os.Stderr, "   %d Services\n", count)
	err := createServices(ctx, l.client, serverPod.Next(), crowd{first: l.services, services: count - l.services, endpoints: proxyEndpoints})
	l.services = count
	return err
}

// turn is what one of the two programs needed, in ms.
type turn struct {
	// sync is its first pass, start is from its start until a Service answered, and changes is how long a changed
	// endpoint took.
	sync, start float64
	changes     []float64
}

// race has the two take turns, each alone in the kernel; who begins changes.
func (l *proxyLab) race(ctx context.Context, mode netproxy.Mode) error {
	turns := map[string][]turn{}
	both := []proxyProgram{ourProxy(l, mode), kubeProxy(l, mode)}
	for round := range l.rounds {
		for n := range both {
			p := both[(round+n)%len(both)]
			t, err := l.turn(ctx, p)
			if err != nil {
				return fmt.Errorf("%s with %s: %w", p.name, mode, err)
			}
			turns[p.name] = append(turns[p.name], t)
			fmt.Fprintf(os.Stderr, "   %d/%d  %s, %s: first sync %.0f ms, answers after %.0f ms, a change %.1f ms (%.0f)\n",
				round+1, l.rounds, mode, p.name, t.sync, t.start, median(t.changes), t.changes)
		}
	}
	column := func(of func(turn) float64) (ours, theirs []float64) {
		for n := range l.rounds {
			ours, theirs = append(ours, of(turns[both[0].name][n])), append(theirs, of(turns[both[1].name][n]))
		}
		return ours, theirs
	}
	ours, theirs := column(func(t turn) float64 { return t.sync })
	ourStart, theirStart := column(func(t turn) float64 { return t.start })
	l.values[firstSyncRow(mode, l.services)] = proxyValues{ratios(ours, theirs), fmt.Sprintf(
		"medians: kube-lite %.0f ms, kube-proxy %.0f ms; from the program's start until a Service answers %.0f ms and %.0f ms",
		median(ours), median(theirs), median(ourStart), median(theirStart))}
	ours, theirs = column(func(t turn) float64 { return median(t.changes) })
	l.values[changeRow(mode)] = proxyValues{ratios(ours, theirs), fmt.Sprintf(
		"medians: kube-lite %.1f ms, kube-proxy %.1f ms, from the request to the API until a connection succeeds or is refused", median(ours), median(theirs))}
	if mode == netproxy.ModeNFTables {
		l.values[changeTimeRow] = proxyValues{Samples: ours}
	}
	return nil
}

// run starts one of them on a kernel without rules, and returns when a Service answers.
func (l *proxyLab) run(ctx context.Context, p proxyProgram) (*runningProxy, error) {
	if err := l.write(ctx, true); err != nil {
		return nil, err
	}
	running, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.await(ctx, true); err != nil {
		return nil, errors.Join(err, running.stop(ctx))
	}
	return running, nil
}

// turn measures one of them.
func (l *proxyLab) turn(ctx context.Context, p proxyProgram) (t turn, err error) {
	began := time.Now()
	running, err := l.run(ctx, p)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, running.stop(ctx)) }()
	t.start = milliseconds(time.Since(began))
	if t.sync, err = running.firstSync(ctx); err != nil {
		return t, err
	}
	for n := range proxyChanges + 1 {
		took, err := l.change(ctx, n%2 == 1)
		if err != nil {
			return t, err
		}
		if n > 0 { // the first waits for what the start left to do
			t.changes = append(t.changes, milliseconds(took))
		}
	}
	return t, nil
}

// measureConnections has the client pod connect to the server pod, through the ClusterIP and straight, by the rules of
// either program.
func (l *proxyLab) measureConnections(ctx context.Context) (err error) {
	server := inPod(ctx, "server", acceptPart, strconv.Itoa(podPort), strconv.Itoa(straightPort))
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return fmt.Errorf("the server pod: %w", err)
	}
	ours, rates, err := l.connections(ctx, ourProxy(l, netproxy.ModeNFTables))
	if err != nil {
		return err
	}
	theirs, _, err := l.connections(ctx, kubeProxy(l, netproxy.ModeNFTables))
	if err != nil {
		return err
	}
	l.values[connectionsRow(l.services)] = proxyValues{ours, fmt.Sprintf("medians: %s; with kube-proxy %.2f ×", rates, median(theirs))}
	return nil
}

// connections returns the rates through the ClusterIP to those straight to the pod, which take turns.
func (l *proxyLab) connections(ctx context.Context, p proxyProgram) (samples []float64, rates string, err error) {
	running, err := l.run(ctx, p)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, running.stop(ctx)) }()
	addresses := []netip.AddrPort{netip.AddrPortFrom(l.server, servicePort), netip.AddrPortFrom(serverPod, straightPort)}
	var made [2][]float64
	for n := range 2 * (l.rounds + 1) {
		which := (n + n/2) % 2 // who begins changes
		rate, err := connectFrom(ctx, addresses[which])
		if err != nil {
			return nil, "", err
		}
		if n >= 2 { // warm
			made[which] = append(made[which], rate)
		}
	}
	return ratios(made[0], made[1]), fmt.Sprintf("%.0f and %.0f a second", median(made[0]), median(made[1])), nil
}

// inPod is this program with args, in a pod's network namespace.
func inPod(ctx context.Context, pod string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", pod, self}, args...)...)
	cmd.Err, cmd.Stderr = cmp.Or(cmd.Err, err), os.Stderr
	return cmd
}
