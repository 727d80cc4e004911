package netproxy

import (
	"context"
	"log/slog"
	"net/netip"

	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/tools/record"
)

// Options say what one instance's proxy works on. Every field but NodePortAddresses, Recorder and Log is required.
type Options struct {
	// Instance is the name of the kube-lite instance. It goes, hashed, into every chain name.
	Instance string
	// Bridge is the name of the network device that the pods are attached to, at most 15 characters.
	// It must exist while Run runs; when it disappears and comes back, route and settings are made anew.
	Bridge string
	// NodeName is this node's name in EndpointSlices; it decides what counts as local for a traffic policy.
	NodeName string
	// PodCIDR is the range of the pods' addresses, IPv4.
	PodCIDR netip.Prefix
	// ServiceCIDR is the range of the ClusterIPs, IPv4. A route to Bridge is kept for it.
	ServiceCIDR netip.Prefix
	// NodePortAddresses are the ranges of this machine's addresses at which NodePorts and externalIPs also answer
	// what comes from outside this machine. Default none: only this machine and its pods are answered.
	NodePortAddresses []netip.Prefix
	// Recorder takes the events on Services. Nil: no events.
	Recorder record.EventRecorder
	// Log defaults to slog.Default().
	Log *slog.Logger
}

// Proxy keeps the kernel's rules equal to the Services and EndpointSlices of its informers.
type Proxy struct{}

// New checks opts, finds iptables, and registers with the informers. It changes nothing on the machine.
func New(services coreinformers.ServiceInformer, slices discoveryinformers.EndpointSliceInformer, opts Options) (*Proxy, error) {
	_, _ = services, slices
	return &Proxy{}, nil
}

// Run applies the rules and keeps them until ctx ends, then returns nil. The rules stay: see Cleanup.
func (p *Proxy) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Cleanup removes every chain, jump and route of the instance. It may be called at any time and any number of times.
func Cleanup(ctx context.Context, opts Options) error { return nil }

// Check tells whether this machine can do what Run needs, in one sentence that says what to do if not.
func Check() error { return nil }

// ChainPrefix is what the names of all iptables chains of an instance begin with.
func ChainPrefix(instance string) string { return "KUBE-LITE-" }
