package orchestrator

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/controllers/service"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
	"k8s.io/utils/ptr"
)

const (
	// reasonAddress is that of the event on a Service whose address is not the first one.
	reasonAddress = "LoadBalancerAddress"
	// releaseGrace is how long a port that nobody claims may still be held: the proxy lets go of it a moment after the
	// Service that had it is gone.
	releaseGrace = 500 * time.Millisecond
	// firstLoopback and lastLoopback are the addresses that Services get, of the machine's own 127.0.0.0/8.
	firstLoopback, lastLoopback = "127.0.0.1", "127.0.0.254"
)

// balancers gives Services of type LoadBalancer addresses of this machine: 127.0.0.1, or the next loopback address at which
// nobody has one of the Service's ports, and those that are open to other machines. The proxy serves them. To upstream's
// service controller this is a cloud that has nothing but load balancers.
// https://kubernetes.io/docs/concepts/services-networking/service/#loadbalancer
type balancers struct {
	cloudprovider.Interface // nil: nothing else is asked for

	services corelisters.ServiceLister
	recorder record.EventRecorder
	opened   []netip.Prefix                // of this machine's addresses
	machine  func() ([]netip.Addr, error)  // this machine's addresses
	free     func(socket) bool             // whether no program has it
	mu       sync.Mutex                    // guards given
	given    map[types.UID]map[socket]bool // by Service
}

var _ cloudprovider.LoadBalancer = &balancers{}

// socket is a port of an address of this machine.
type socket struct {
	protocol corev1.Protocol
	at       netip.AddrPort
}

func (s socket) String() string { return fmt.Sprintf("%d/%s", s.at.Port(), s.protocol) }

// socketsAt are the Service's at an address.
func socketsAt(svc *corev1.Service, ip netip.Addr) (all []socket) {
	for _, p := range svc.Spec.Ports {
		all = append(all, socket{p.Protocol, netip.AddrPortFrom(ip, uint16(p.Port))})
	}
	return all
}

func newServiceController(ctx context.Context, w *world) (runner, error) {
	services := w.informers.Core().V1().Services()
	events := record.NewBroadcaster(record.WithContext(ctx))
	b := &balancers{
		services: services.Lister(), opened: w.opts.NodePortAddresses, machine: machineAddresses, free: unused,
		recorder: events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "service-controller"}),
		given:    map[types.UID]map[socket]bool{},
	}
	nodes := quietNodes{w.informers.Core().V1().Nodes()}
	controller, err := service.New(b, w.client, services, nodes, "kube-lite", utilfeature.DefaultFeatureGate)
	if err != nil {
		return nil, err
	}
	metrics := controllersmetrics.NewControllerManagerMetrics("kube-lite")
	return single(func(ctx context.Context) {
		events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: w.client.CoreV1().Events("")})
		defer events.Shutdown()
		controller.Run(ctx, 1, metrics)
	}), nil
}

// quietNodes tell the service controller which nodes there are, but nothing of their changes, on which no load balancer
// depends: its worker for them reads Services while the other one writes them.
type quietNodes struct{ coreinformers.NodeInformer }

// Informer is coreinformers.NodeInformer's.
func (q quietNodes) Informer() cache.SharedIndexInformer {
	return quietInformer{q.NodeInformer.Informer()}
}

// quietInformer has no handlers.
type quietInformer struct{ cache.SharedIndexInformer }

// AddEventHandlerWithResyncPeriod is cache.SharedInformer's.
func (quietInformer) AddEventHandlerWithResyncPeriod(cache.ResourceEventHandler, time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return nil, nil
}

// ProviderName is cloudprovider.Interface's.
func (b *balancers) ProviderName() string { return "kube-lite" }

// LoadBalancer is cloudprovider.Interface's.
func (b *balancers) LoadBalancer() (cloudprovider.LoadBalancer, bool) { return b, true }

// GetLoadBalancerName is cloudprovider.LoadBalancer's.
func (b *balancers) GetLoadBalancerName(_ context.Context, _ string, svc *corev1.Service) string {
	return svc.Namespace + "/" + svc.Name
}

// GetLoadBalancer is cloudprovider.LoadBalancer's.
func (b *balancers) GetLoadBalancer(_ context.Context, _ string, svc *corev1.Service) (*corev1.LoadBalancerStatus, bool, error) {
	return &svc.Status.LoadBalancer, len(svc.Status.LoadBalancer.Ingress) > 0, nil
}

// EnsureLoadBalancer is cloudprovider.LoadBalancer's. A Service keeps its addresses while it can.
func (b *balancers) EnsureLoadBalancer(ctx context.Context, _ string, svc *corev1.Service, _ []*corev1.Node) (*corev1.LoadBalancerStatus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	claimed, err := b.claimed(svc)
	if err != nil {
		return nil, err
	}
	local, err := b.machine()
	if err != nil {
		return nil, fmt.Errorf("this machine's addresses: %w", err)
	}
	ip, err := b.choose(ctx, svc, claimed, local)
	if err != nil {
		return nil, err
	}
	addresses := []netip.Addr{ip}
	for _, other := range local {
		if !hasFamily(svc, other) {
			continue
		}
		open := slices.ContainsFunc(b.opened, func(p netip.Prefix) bool { return p.Contains(other) })
		if open && !other.IsLoopback() && other != ip && b.obstacle(ctx, svc, other, claimed) == "" {
			addresses = append(addresses, other)
		}
	}
	given, status := map[socket]bool{}, &corev1.LoadBalancerStatus{}
	for _, a := range addresses {
		status.Ingress = append(status.Ingress, corev1.LoadBalancerIngress{IP: a.String(), IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})
		for _, s := range socketsAt(svc, a) {
			given[s] = true
		}
	}
	b.given[svc.UID] = given
	return status, nil
}

// UpdateLoadBalancer is cloudprovider.LoadBalancer's. Nothing depends on the nodes.
func (b *balancers) UpdateLoadBalancer(context.Context, string, *corev1.Service, []*corev1.Node) error {
	return nil
}

// EnsureLoadBalancerDeleted is cloudprovider.LoadBalancer's.
func (b *balancers) EnsureLoadBalancerDeleted(_ context.Context, _ string, svc *corev1.Service) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.given, svc.UID)
	return nil
}

// claimed are the sockets of other Services, with whose they are: those that were given, and those that their status tells
// of since before this process.
func (b *balancers) claimed(but *corev1.Service) (map[socket]string, error) {
	services, err := b.services.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list Services: %w", err)
	}
	claimed := map[socket]string{}
	for _, s := range services {
		if s.UID == but.UID || s.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		name := s.Namespace + "/" + s.Name
		for at := range b.given[s.UID] {
			claimed[at] = name
		}
		if b.given[s.UID] != nil {
			continue
		}
		for _, at := range addressesOf(s) {
			for _, at := range socketsAt(s, at) {
				claimed[at] = name
			}
		}
	}
	return claimed, nil
}

// hasFamily tells whether a Service has the IP family of an address.
func hasFamily(svc *corev1.Service, ip netip.Addr) bool {
	family := corev1.IPv4Protocol
	if ip.Is6() {
		family = corev1.IPv6Protocol
	}
	return slices.Contains(svc.Spec.IPFamilies, family) || len(svc.Spec.IPFamilies) == 0 && ip.Is4()
}

// versions names the IP families of a Service.
func versions(svc *corev1.Service) string {
	var all []string
	for _, f := range svc.Spec.IPFamilies {
		all = append(all, string(f))
	}
	return cmp.Or(strings.Join(all, " or "), string(corev1.IPv4Protocol))
}

// addressesOf are the addresses in the status of a Service.
func addressesOf(svc *corev1.Service) (all []netip.Addr) {
	for _, at := range svc.Status.LoadBalancer.Ingress {
		if ip, err := netip.ParseAddr(at.IP); err == nil {
			all = append(all, ip)
		}
	}
	return all
}

// choose returns the address that a Service has on this machine, and tells if it is not the usual one.
func (b *balancers) choose(ctx context.Context, svc *corev1.Service, claimed map[socket]string, local []netip.Addr) (netip.Addr, error) {
	if wanted := svc.Spec.LoadBalancerIP; wanted != "" {
		ip, err := netip.ParseAddr(wanted)
		if err != nil || !hasFamily(svc, ip) || !ip.IsLoopback() && !slices.Contains(local, ip) {
			return netip.Addr{}, fmt.Errorf("spec.loadBalancerIP %s is no %s address of this machine: use one of 127.0.0.0/8, or none", wanted, versions(svc))
		}
		if obstacle := b.obstacle(ctx, svc, ip, claimed); obstacle != "" {
			return netip.Addr{}, fmt.Errorf("spec.loadBalancerIP %s: %s", wanted, obstacle)
		}
		return ip, nil
	}
	has := addressesOf(svc)
	if local6 := netip.IPv6Loopback(); !hasFamily(svc, netip.MustParseAddr(firstLoopback)) { // there is no other one of IPv6
		if obstacle := b.obstacle(ctx, svc, local6, claimed); obstacle != "" {
			return netip.Addr{}, fmt.Errorf("the address %s is not free: %s", local6, obstacle)
		}
		return local6, nil
	}
	if len(has) > 0 && has[0].IsLoopback() && b.obstacle(ctx, svc, has[0], claimed) == "" {
		return has[0], nil
	}
	var first string // what the usual address lacks
	last := netip.MustParseAddr(lastLoopback)
	for ip := netip.MustParseAddr(firstLoopback); ip.Compare(last) <= 0; ip = ip.Next() {
		obstacle := b.obstacle(ctx, svc, ip, claimed)
		if obstacle == "" {
			if first != "" {
				b.recorder.Eventf(svc, corev1.EventTypeNormal, reasonAddress, "The address is %s, since at %s %s", ip, firstLoopback, first)
			}
			return ip, nil
		}
		if first == "" {
			first = obstacle
		}
	}
	return netip.Addr{}, fmt.Errorf("no address from %s to %s is free for all ports: at the first, %s", firstLoopback, lastLoopback, first)
}

// obstacle says why a Service cannot have an address, or nothing.
func (b *balancers) obstacle(ctx context.Context, svc *corev1.Service, ip netip.Addr, claimed map[socket]string) string {
	has := slices.Contains(addressesOf(svc), ip)
	for _, s := range socketsAt(svc, ip) {
		if owner := claimed[s]; owner != "" {
			return fmt.Sprintf("port %s belongs to Service %s", s, owner)
		}
		// Those that it has are held by the proxy. After a restart nothing says which these were.
		if given := b.given[svc.UID]; given[s] || has && given == nil {
			continue
		}
		if !b.becomesFree(ctx, s) {
			return fmt.Sprintf("port %s is in use by a program of this machine", s)
		}
	}
	return ""
}

// becomesFree waits for a port that is just let go of.
func (b *balancers) becomesFree(ctx context.Context, s socket) bool {
	err := wait.PollUntilContextTimeout(ctx, releaseGrace/20, releaseGrace, true, func(context.Context) (bool, error) { return b.free(s), nil })
	return err == nil
}

// unused tells whether no program of this machine has the socket, by taking it for a moment. Nobody asks for SCTP, which
// the kernel may not have.
func unused(s socket) bool {
	network := strings.ToLower(string(s.protocol)) + "4"
	if s.at.Addr().Is6() {
		network = strings.ToLower(string(s.protocol)) + "6"
	}
	var closer interface{ Close() error }
	var err error
	switch s.protocol {
	case corev1.ProtocolTCP:
		closer, err = net.Listen(network, s.at.String())
	case corev1.ProtocolUDP:
		closer, err = net.ListenPacket(network, s.at.String())
	default:
		return true
	}
	if err != nil {
		return false
	}
	_ = closer.Close()
	return true
}

// machineAddresses are this machine's, but for those that are of one link only.
func machineAddresses() (all []netip.Addr, err error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			all = append(all, p.Addr())
		}
	}
	return all, nil
}
