package netproxy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Options say what one instance's proxy works on. Every field but OtherCIDR, NodePortAddresses, Recorder and Log is
// required.
type Options struct {
	// Instance is the name of the kube-lite instance. It goes, hashed, into every chain name.
	Instance string
	// Bridge is the name of the network device that the pods are attached to, at most 15 characters.
	// It may come later than Run and go meanwhile: route and settings are made when it is there.
	Bridge string
	// NodeName is this node's name in EndpointSlices; it decides what counts as local for a traffic policy. See FollowNodes.
	NodeName string
	// PodCIDR is the range of the pods' addresses, IPv4. It must not overlap with ServiceCIDR.
	PodCIDR netip.Prefix
	// ServiceCIDR is the range of the ClusterIPs, IPv4. A route to Bridge is kept for it.
	ServiceCIDR netip.Prefix
	// OtherCIDR is the part of PodCIDR whose addresses are not Pods', but those of other containers on the bridge.
	// Default none.
	OtherCIDR netip.Prefix
	// IPv6 has the same ranges of IPv6. Default none: nothing is done for IPv6. An instance of IPv6 only has none of the
	// three above.
	IPv6 Ranges
	// Gateway6 is the bridge's own address of IPv6, required with IPv6.
	Gateway6 netip.Addr
	// NodePortAddresses are the ranges of this machine's addresses at which NodePorts and externalIPs also answer
	// what comes from outside this machine. Default none: only this machine and its pods are answered.
	NodePortAddresses []netip.Prefix
	// Kernel is what the rules are made with, as Find has found it for the instance.
	Kernel *Kernel
	// Recorder takes the events on Services and Pods. Nil: no events.
	Recorder record.EventRecorder
	// Log defaults to slog.Default().
	Log *slog.Logger
}

// Ranges are those of one IP family.
type Ranges struct{ PodCIDR, ServiceCIDR, OtherCIDR netip.Prefix }

// ranges are those of a family.
func (o Options) ranges(f family) Ranges {
	if f == ipv6 {
		return o.IPv6
	}
	return Ranges{o.PodCIDR, o.ServiceCIDR, o.OtherCIDR}
}

// families are those that the instance has. One that says nothing has IPv4: so it is with Cleanup.
func (o Options) families() (all []family) {
	if o.ServiceCIDR.IsValid() || !o.IPv6.ServiceCIDR.IsValid() {
		all = append(all, ipv4)
	}
	if o.IPv6.ServiceCIDR.IsValid() {
		all = append(all, ipv6)
	}
	return all
}

// validate finds what would make rules that iptables rejects, or that translate too much.
func (o Options) validate() error {
	switch {
	case o.Instance == "":
		return errors.New("netproxy: no instance name")
	case o.Bridge == "" || len(o.Bridge) > 15:
		return fmt.Errorf("netproxy: bridge name %q: want 1 to 15 characters", o.Bridge)
	case o.IPv6.ServiceCIDR.IsValid() && !o.Gateway6.IsValid():
		return errors.New("netproxy: no IPv6 address of the bridge")
	}
	for _, f := range o.families() {
		if err := o.ranges(f).validate(f); err != nil {
			return err
		}
		if o.Kernel == nil || o.Kernel.tools[f] == nil {
			return fmt.Errorf("netproxy: nothing was found to make rules for %s with", f.choose("IPv4", "IPv6"))
		}
	}
	for _, p := range o.NodePortAddresses {
		if !p.IsValid() || !slices.Contains(o.families(), familyOf(p.Addr())) {
			return fmt.Errorf("netproxy: node port addresses %q: want ranges of the instance's families", p)
		}
	}
	return nil
}

func (r Ranges) validate(f family) error {
	version := f.choose("IPv4", "IPv6")
	switch {
	case !f.has(r.ServiceCIDR.Addr()):
		return fmt.Errorf("netproxy: service CIDR %q: want an %s range", r.ServiceCIDR, version)
	case !f.has(r.PodCIDR.Addr()):
		return fmt.Errorf("netproxy: pod CIDR %q: want an %s range", r.PodCIDR, version)
	case r.PodCIDR.Overlaps(r.ServiceCIDR):
		return fmt.Errorf("netproxy: pod CIDR %s and service CIDR %s overlap", r.PodCIDR, r.ServiceCIDR)
	}
	return nil
}

// A side is what the Proxy has of one IP family: all that is wanted, and who brings it to the kernel.
type side struct {
	family
	desired *desired
	changed changes // of desired, since the backend was given it
	tools   *kernelTools
	backend backend
	host    host
	flows   *flows
}

func newSide(f family, opts Options, tools *kernelTools, log *slog.Logger) *side {
	r := opts.ranges(f)
	return &side{
		family:  f,
		tools:   tools,
		backend: tools.backend(opts.Instance, opts.Bridge, log),
		desired: newDesired(settings{
			family:            f,
			prefix:            ChainPrefix(opts.Instance),
			bridge:            opts.Bridge,
			serviceCIDR:       r.ServiceCIDR.Masked(),
			podCIDR:           r.PodCIDR,
			otherCIDR:         r.OtherCIDR,
			nodePortAddresses: f.prefixes(opts.NodePortAddresses),
		}),
		host:  host{bridge: opts.Bridge, serviceCIDR: r.ServiceCIDR, log: log, told: map[string]bool{}},
		flows: newFlows(r.ServiceCIDR.Masked()),
	}
}

// Proxy keeps the kernel's rules equal to the Services and EndpointSlices of its informers.
type Proxy struct {
	services corelisters.ServiceLister
	slices   cache.Indexer // of EndpointSlices, see sliceIndex
	pods     corelisters.PodLister
	synced   []cache.InformerSynced

	nodeLister corelisters.NodeLister // nil: there is Options.NodeName alone

	own      string // Options.NodeName
	recorder record.EventRecorder
	log      *slog.Logger
	kernel   *kernelTools // those of either family: what is asked of them is the same
	sides    []*side      // one for each family
	gateway6 netip.Addr   // see Options

	verifyInterval, pollInterval time.Duration // see the constants; tests are less patient

	pending      pending // what changed of the informers' objects
	redirections redirections

	// Each holds one token: that there is something to look at, not what.
	objectsChanged, hostChanged, rulesChanged chan struct{}
	ready                                     chan struct{} // closed when the rules stand for the first time

	// What follows belongs to the one goroutine of Run that does the work.
	readyOnce  sync.Once
	hostReady  bool                              // the route stood at least once
	nodes      nodes                             // those that this machine is
	observed   map[types.NamespacedName]observed // what is declared
	hosts      []hostPort                        // and of Pods
	claims     claims                            // of ports of this machine
	claims6    claims                            // of ports of [::1]
	ports      reservations
	loopback6  reservations
	troubles   troubles
	health     healthChecks
	policies   policies
	applied    bool   // the backends succeeded the last time
	generation uint32 // of the nftables rules when they were last known to be right
}

// New checks opts and registers with the informers. It changes nothing on the machine.
func New(services coreinformers.ServiceInformer, endpoints discoveryinformers.EndpointSliceInformer, pods coreinformers.PodInformer,
	opts Options) (*Proxy, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	log := cmp.Or(opts.Log, slog.Default())
	var sides []*side
	var kernel *kernelTools
	for _, f := range opts.families() {
		tools := opts.Kernel.tools[f]
		sides, kernel = append(sides, newSide(f, opts, tools, log)), tools
	}
	p := &Proxy{
		services:       services.Lister(),
		slices:         endpoints.Informer().GetIndexer(),
		pods:           pods.Lister(),
		own:            opts.NodeName,
		nodes:          nodes{{name: opts.NodeName}},
		recorder:       opts.Recorder,
		log:            log,
		kernel:         kernel,
		sides:          sides,
		gateway6:       opts.Gateway6,
		verifyInterval: defaultVerifyInterval,
		pollInterval:   defaultPollInterval,
		objectsChanged: make(chan struct{}, 1),
		hostChanged:    make(chan struct{}, 1),
		rulesChanged:   make(chan struct{}, 1),
		ready:          make(chan struct{}),
		observed:       map[types.NamespacedName]observed{},
		claims:         newClaims(),
		claims6:        newClaims(),
		troubles:       troubles{},
		health:         newHealthChecks(opts.NodeName, opts.NodePortAddresses),
		ports:          reservations{open: openNodePort, held: map[nodePort]io.Closer{}},

		loopback6: reservations{open: openForwarder, held: map[nodePort]io.Closer{}},
	}
	if err := indexSlices(endpoints.Informer()); err != nil {
		return nil, fmt.Errorf("netproxy: indexing EndpointSlices: %w", err)
	}
	handler := p.objectHandler()
	for _, informer := range []cache.SharedIndexInformer{services.Informer(), endpoints.Informer()} {
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("netproxy: registering with an informer: %w", err)
		}
		p.synced = append(p.synced, registration.HasSynced)
	}
	registration, err := pods.Informer().AddEventHandler(p.podHandler())
	if err != nil {
		return nil, fmt.Errorf("netproxy: registering with an informer: %w", err)
	}
	p.synced = append(p.synced, registration.HasSynced)
	return p, nil
}

// podHandler notes what matters of Pods, their ports of this machine: most changes of Pods do not.
func (p *Proxy) podHandler() cache.ResourceEventHandler {
	changed := func() {
		p.pending.addHosts()
		signal(p.objectsChanged)
	}
	ports := func(obj any) []hostPort {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if pod, ok := obj.(*corev1.Pod); ok {
			return hostPortsOf(pod, p.families()...)
		}
		return nil
	}
	one := func(obj any) {
		if len(ports(obj)) > 0 {
			changed()
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: one, DeleteFunc: one,
		UpdateFunc: func(before, after any) {
			if !slices.Equal(ports(before), ports(after)) {
				changed()
			}
		},
	}
}

// families are those of the sides.
func (p *Proxy) families() (all []family) {
	for _, s := range p.sides {
		all = append(all, s.family)
	}
	return all
}

// features are what the rules of every family may use.
func (p *Proxy) features() features {
	all := features{true, true, true}
	for _, s := range p.sides {
		have := s.desired.settings.features
		all = features{all.randomFully && have.randomFully, all.recent && have.recent, all.sctp && have.sctp}
	}
	return all
}

// Ready is closed when the rules stand for the first time.
func (p *Proxy) Ready() <-chan struct{} { return p.ready }

// signal leaves a token unless one waits already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
