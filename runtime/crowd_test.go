package runtime

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/dns"
	"github.com/kube-lite/kube-lite/orchestrator"
	"github.com/kube-lite/kube-lite/runtime/docker"
	"github.com/kube-lite/kube-lite/runtime/pause"
	"github.com/kube-lite/kube-lite/runtime/usage"
	"github.com/kube-lite/kube-lite/store"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// crowd is a whole daemon in this process: store, API server, controllers, scheduler, DNS and the node agent, each as
// package daemon wires it. Docker alone is the fake that keeps its containers in memory, so that what is measured is
// ours. The rules of Services are left out: they are the kernel's.
type crowd struct {
	b      *testing.B
	engine *fakeEngine
	client kubernetes.Interface // through memory, as the daemon's own
	census *census
	end    func()

	deployed int // how many Deployments were made
}

// crowdImage is what every Pod of a crowd runs.
const crowdImage = "app:1"

// The node of a crowd has room for any that is measured here, whatever this machine has.
const (
	crowdMaxPods = 10_000
	crowdCPUs    = 1000
	crowdMemory  = 1 << 40 // bytes
)

// crowdPatience bounds each wait.
const crowdPatience = 5 * time.Minute

// newCrowd starts everything and returns when it answers. The caller calls end.
func newCrowd(b *testing.B, opts store.Options) *crowd {
	b.Helper()
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // it has no instances
	dir := b.TempDir()
	c := &crowd{b: b, engine: newFakeEngine(pause.Ref, crowdImage)}
	db, err := store.Open(filepath.Join(dir, "kube-lite.db"), opts)
	c.must(err)
	pki, err := apiserver.OpenPKI(filepath.Join(dir, "pki"), nil)
	c.must(err)
	server, err := apiserver.New(apiserver.Config{
		Store: db, PKI: pki, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), Log: slog.New(slog.DiscardHandler),
		DialNode: func(context.Context, string) (net.Conn, error) { return nil, io.ErrUnexpectedEOF },
	})
	c.must(err)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	c.must(err)
	c.client = server.Client()

	serving, endServing := context.WithCancel(context.Background())
	var servers, actors sync.WaitGroup
	c.run(&servers, func() error { return server.Run(serving, listener) })
	ready, cancel := context.WithTimeout(serving, crowdPatience)
	defer cancel()
	c.must(server.WaitReady(ready))
	c.must(server.Bootstrap(ready, apiserver.Endpoints{API: netip.MustParseAddrPort("10.244.0.1:6443"), DNS: netip.MustParseAddrPort("10.244.0.1:53")}))

	acting, endActing := context.WithCancel(context.Background())
	for _, room := range c.rooms(server, pki, dir) {
		c.run(&actors, func() error { return room(acting) })
	}
	server.Informers().Start(serving.Done())
	c.end = func() {
		endActing()
		actors.Wait()
		endServing()
		servers.Wait()
		server.Informers().Shutdown()
		c.must(db.Close())
	}
	return c
}

// rooms builds everything that works through the API.
func (c *crowd) rooms(server *apiserver.Server, pki *apiserver.PKI, dir string) []func(context.Context) error {
	c.b.Helper()
	shared := server.Informers()
	client, err := kubernetes.NewForConfig(server.ConfigFor("system:node:node"))
	c.must(err)
	agent, err := newAgent(client, shared, c.engine, nil, Options{
		Instance: "t-crowd", NodeName: "node", Root: c.podRoot(), MaxPods: crowdMaxPods, HostIP: netip.MustParseAddr("10.244.0.1"),
		Network:   docker.NetworkSpec{Name: "pods", Bridge: "br0", Subnet: netip.MustParsePrefix("10.244.0.0/16"), Gateway: netip.MustParseAddr("10.244.0.1")},
		DNSServer: netip.MustParseAddr("10.96.0.10"), Log: slog.New(slog.DiscardHandler),
	})
	c.must(err)
	agent.node.Facts.CPUs, agent.node.Facts.Memory = crowdCPUs, crowdMemory
	groups := usage.Cgroups{Proc: filepath.Join(dir, "proc"), Root: filepath.Join(dir, "cgroup")} // not this machine's
	agent.cgroups, agent.mirror.Cgroups = groups, groups
	names, err := dns.New(shared.Core().V1().Services(), shared.Discovery().V1().EndpointSlices(),
		shared.Core().V1().Namespaces(), dns.Options{Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	c.must(err)
	c.census, err = newCensus(shared.Core().V1().Pods().Informer())
	c.must(err)
	controllers := orchestrator.New(server.ConfigFor("system:kube-controller-manager"), shared, orchestrator.Options{
		ConfigFor: server.ConfigFor, RootCA: pki.CACertificate(), Tokens: server.SecretTokens(), VolumeDir: filepath.Join(dir, "pv"),
	})
	return []func(context.Context) error{names.Run, controllers.Run, agent.Run}
}

// podRoot is where the Pods' directories are: in memory if it can be had. What a disk makes of some twenty small files for
// each Pod is the disk's, and an ext4 without journal is slow where many were removed a moment ago, as by the last round.
func (c *crowd) podRoot() string {
	dir, err := os.MkdirTemp("/dev/shm", "t-crowd-")
	if err != nil {
		return c.b.TempDir()
	}
	c.b.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			c.b.Error(err)
		}
	})
	return dir
}

// run has a part of the crowd waited for.
func (c *crowd) run(parts *sync.WaitGroup, part func() error) {
	parts.Go(func() {
		if err := part(); err != nil && !errors.Is(err, context.Canceled) {
			c.b.Error(err)
		}
	})
}

func (c *crowd) must(err error) {
	c.b.Helper()
	if err != nil {
		c.b.Fatal(err)
	}
}

// await waits until the census meets a condition.
func (c *crowd) await(what string, holds func(*census) bool) {
	c.b.Helper()
	timeout := time.After(crowdPatience)
	for {
		changed, met := c.census.look(holds)
		if met {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			c.b.Fatalf("after %v: %s: %s", crowdPatience, what, c.census)
		}
	}
}
