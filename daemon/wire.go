package daemon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/dns"
	"github.com/kube-lite/kube-lite/netproxy"
	"github.com/kube-lite/kube-lite/orchestrator"
	"github.com/kube-lite/kube-lite/runtime"
)

// startRooms builds everything that works through the API, then lets it run.
// All informers are asked for before the orchestrator starts them.
func (d *daemon) startRooms(ctx context.Context) error {
	resolver, err := d.newDNS()
	if err != nil {
		return err
	}
	err = d.server.Bootstrap(ctx, apiserver.Endpoints{
		API: netip.AddrPortFrom(d.gateways()[0], uint16(d.settings.APIPort)),
		DNS: resolver.Addr(), OtherDNS: resolver.OtherAddr(),
	})
	if err != nil {
		return err
	}
	proxy, err := d.newProxy()
	if err != nil {
		return err
	}
	if err := d.nodes.prepare(ctx, d.server.Client(), d.server.Informers(), d.newAgent); err != nil {
		return err
	}
	router, err := d.newRouter()
	if err != nil {
		return err
	}
	intercepts, ways, page := d.newIntercepts(proxy, router), d.newReach(proxy), d.newDashboard()
	d.nodes.handler = func(agent *runtime.Agent) http.Handler { return nodeHandler(agent, intercepts, ways, d.pruneHandler()) }
	d.rooms.start("controllers and informers", d.newOrchestrator().Run)
	d.rooms.start("service rules", proxy.Run)
	d.rooms.start("DNS", resolver.Run)
	d.rooms.start("Ingresses", router.Run)
	d.rooms.start("intercepts", intercepts.Run)
	d.rooms.start("dashboard", page.Run)
	d.rooms.start("node agents", d.nodes.run)
	d.rooms.start("memory", newMemoryReturner().run)
	d.up = true
	for _, room := range []struct {
		ready <-chan struct{}
		late  string
	}{{proxy.Ready(), "the Service rules are not in the kernel yet"}, {router.Ready(), "the IngressClass is not there yet"}} {
		select {
		case <-room.ready:
		case err := <-d.rooms.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", room.late, ctx.Err())
		}
	}
	d.info.DNS = resolver.Addr().String()
	d.enableHostDNS(ctx, resolver.Addr())
	d.steps.done("controllers, Service rules, DNS", resolver.Addr().String())
	return nil
}

// newDNS binds the bridge's address. Where something else has port 53 of every
// address, another port does: pods ask the Service kube-dns anyway.
func (d *daemon) newDNS() (*dns.Server, error) {
	shared := d.server.Informers()
	bind := func(port int) (*dns.Server, error) {
		var addrs []string
		for _, gateway := range d.gateways() {
			addrs = append(addrs, net.JoinHostPort(gateway.String(), strconv.Itoa(port)))
		}
		return dns.New(shared.Core().V1().Services(), shared.Discovery().V1().EndpointSlices(),
			shared.Core().V1().Namespaces(), dns.Options{
				Domain:     clusterDomain,
				Addr:       addrs[0],
				OtherAddrs: addrs[1:],
				ResolvConf: "/etc/resolv.conf",
				HostsFiles: append([]string{"/etc/hosts"}, d.cfg.DNSHosts...),
				Log:        d.cfg.Log,
			})
	}
	server, err := bind(53)
	if errors.Is(err, syscall.EADDRINUSE) {
		return bind(0)
	}
	return server, err
}

// newProxy makes the room of the rules of Services and policies.
func (d *daemon) newProxy() (*netproxy.Proxy, error) {
	events, err := d.newEvents(user.KubeProxy)
	if err != nil {
		return nil, err
	}
	informers := d.server.Informers()
	core := informers.Core().V1()
	proxy, err := netproxy.New(core.Services(), informers.Discovery().V1().EndpointSlices(), core.Pods(), d.proxyOptions(events))
	if err != nil {
		return nil, err
	}
	return proxy, errors.Join(proxy.FollowNodes(core.Nodes()),
		proxy.EnforcePolicies(informers.Networking().V1().NetworkPolicies(), core.Namespaces(), core.Pods()))
}

func (d *daemon) proxyOptions(events record.EventBroadcaster) netproxy.Options {
	opts := netproxy.Options{
		Instance:          d.cfg.Name,
		Bridge:            bridgeName(d.cfg.Name),
		NodeName:          d.nodeName,
		NodePortAddresses: d.cfg.NodePortAddresses,
		Kernel:            d.kernel,
		Log:               d.cfg.Log,
	}
	d.settings.addTo(&opts)
	if events != nil {
		opts.Recorder = events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kube-proxy", Host: d.nodeName})
	}
	return opts
}

// newEvents takes the events of a room, which connects as this user, until the rooms are stopped.
func (d *daemon) newEvents(user string) (record.EventBroadcaster, error) {
	client, err := kubernetes.NewForConfig(d.server.ConfigFor(user))
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", user, err)
	}
	events := record.NewBroadcaster(record.WithContext(d.rooms.parent))
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	d.rooms.start("events of "+user, func(ctx context.Context) error {
		<-ctx.Done()
		events.Shutdown()
		return nil
	})
	return events, nil
}

func (d *daemon) newOrchestrator() *orchestrator.Orchestrator {
	signingCert, signingKey := d.pki.CAFiles()
	return orchestrator.New(d.server.ConfigFor(user.KubeControllerManager), d.server.Informers(), orchestrator.Options{
		ConfigFor: d.server.ConfigFor, RootCA: d.pki.CACertificate(), Tokens: d.server.SecretTokens(), VolumeDir: d.cfg.VolumesPath(),
		SigningCert: signingCert, SigningKey: signingKey, NodePortAddresses: d.cfg.NodePortAddresses, OwnNode: d.nodes.lives,
	})
}

// newAgent is the agent of a node, whose place among the instance's nodes opts have. It connects as that node.
func (d *daemon) newAgent(opts runtime.Options) (*runtime.Agent, error) {
	client, err := kubernetes.NewForConfig(d.server.ConfigFor("system:node:" + opts.NodeName))
	if err != nil {
		return nil, fmt.Errorf("client of the node agent: %w", err)
	}
	opts.Instance, opts.Root, opts.Log = d.cfg.Name, d.cfg.DataDir, d.cfg.Log
	opts.Network, opts.IPFamilies = d.network(), d.settings.ipFamilies()
	opts.Version, opts.ClusterDomain = apiserver.KubernetesVersion, clusterDomain
	opts.DNSServer = apiserver.DNSIP(d.settings.families()[0].services)
	opts.PidsLimit, opts.AllowedUnsafeSysctls = d.cfg.PidsLimit, d.cfg.AllowedUnsafeSysctls
	return runtime.New(client, d.server.Informers(), d.engine, opts)
}

// stopRooms lets the pods end while everything still works, then stops the
// rooms and takes the rules away.
func (d *daemon) stopRooms(ctx context.Context) error {
	var errs []error
	if d.up {
		errs = append(errs, d.nodes.stopPods(ctx), disableHostDNS(ctx, d.cfg))
	}
	errs = append(errs, d.rooms.stop())
	if d.server != nil {
		d.server.Informers().Shutdown()
	}
	if d.up {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
		defer cancel()
		errs = append(errs, netproxy.Cleanup(ctx, d.proxyOptions(nil)))
	}
	return errors.Join(errs...)
}

// maxDevice is the kernel's limit for a network device's name (IFNAMSIZ - 1).
const maxDevice = 15

// bridgeName is the device of the instance's pod network: kl-NAME, or a hash
// in place of the end of a long name.
func bridgeName(instance string) string {
	name := "kl-" + instance
	if len(name) <= maxDevice {
		return name
	}
	sum := sha256.Sum256([]byte(instance))
	return fmt.Sprintf("%s%x", name[:maxDevice-6], sum[:3])
}
