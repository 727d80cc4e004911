package reach

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
)

// Way is what was seen of the way to a Service.
type Way struct {
	DNS   DNS    `json:"dns"`
	Ports []Port `json:"ports"` // those of TCP
}

// DNS is what the cluster's server was asked, and its answer.
type DNS struct {
	Server string       `json:"server"` // address and port
	Name   string       `json:"name"`
	Want   []netip.Addr `json:"want"`            // what the API has, sorted
	Answer []netip.Addr `json:"answer"`          // sorted
	Error  string       `json:"error,omitempty"` // why there is no answer
}

// Port is one of the Service.
type Port struct {
	Port  int32  `json:"port"`
	Rules []Rule `json:"rules"`
	Hops  []Hop  `json:"hops"` // endpoints first, then in the order of the kinds
}

// Rule is what the kernel has for the port at one ClusterIP.
type Rule struct {
	Address string `json:"address"`
	Leads   bool   `json:"leads"`           // to endpoints
	Seen    string `json:"seen"`            // the rule, or what is missing
	Error   string `json:"error,omitempty"` // why the kernel could not be read
}

// Hop is an address that was connected to.
type Hop struct {
	Kind    Kind   `json:"kind"`
	Address string `json:"address"`
	Pod     string `json:"pod,omitempty"`   // of an endpoint
	Error   string `json:"error,omitempty"` // why there was no connection; empty: there was one
}

// Kind is what a Hop's address is.
type Kind string

// The kinds of hops.
const (
	Endpoint     Kind = "endpoint"
	ClusterIP    Kind = "clusterIP"
	NodePort     Kind = "nodePort"
	LoadBalancer Kind = "loadBalancer"
)

// Options say how a Room sees what it does not know itself. All are required.
type Options struct {
	// DNS is where pods ask for names: address and port of the cluster's server.
	DNS netip.AddrPort
	// Domain is the cluster's.
	Domain string
	// NodeAddresses are those at which this machine tries NodePorts, one of each IP family.
	NodeAddresses []netip.Addr
	// Lookup asks a DNS server for the addresses of a name, which ends with a dot, and returns them sorted.
	Lookup func(ctx context.Context, server netip.AddrPort, name string) ([]netip.Addr, error)
	// ReadBack tells what the kernel has for a port of a ClusterIP: whether it leads anywhere, and what was seen.
	ReadBack func(ctx context.Context, at netip.AddrPort) (leads bool, seen string, err error)
}

// Room looks at ways. Make it with New.
type Room struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
	opts     Options
	pause    time.Duration // see settling
}

// New makes a Room over the Services and EndpointSlices of informers.
func New(services corelisters.ServiceLister, slices discoverylisters.EndpointSliceLister, opts Options) *Room {
	return &Room{services, slices, opts, settling}
}

const (
	// settling is after how long the way is looked at again when something was not well: a pod that became ready a moment ago is a few
	// milliseconds from being in the rules and in DNS.
	settling = time.Second
	// lookTimeout bounds one look. A connection takes a second at most, DNS two, and reading the rules of 1,000 Services a few tenths.
	lookTimeout = 5 * time.Second
)

// Look looks at the way to a Service, once more if it is not well. The error is the API's if there is no such Service, or none that has a way.
func (r *Room) Look(ctx context.Context, namespace, name string) (*Way, error) {
	way, err := r.once(ctx, namespace, name)
	if err != nil || way.well() {
		return way, err
	}
	select {
	case <-time.After(r.pause):
		return r.once(ctx, namespace, name)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *Room) once(ctx context.Context, namespace, name string) (*Way, error) {
	s, err := r.services.Services(namespace).Get(name)
	if err != nil {
		return nil, err
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil, apierrors.NewNotFound(corev1.Resource("services"), name+", which is another name of something,")
	}
	eps, err := r.slices.EndpointSlices(namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: name}))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	way := &Way{Ports: r.ports(s, eps)}
	var looking sync.WaitGroup
	looking.Go(func() { way.DNS = r.askDNS(ctx, s, eps) })
	for n := range way.Ports {
		p := &way.Ports[n]
		for i := range p.Rules {
			looking.Go(func() { r.readBack(ctx, &p.Rules[i]) })
		}
		for i := range p.Hops {
			looking.Go(func() { p.Hops[i].Error = dial(ctx, p.Hops[i].Address) })
		}
	}
	looking.Wait()
	return way, nil
}

func (r *Room) askDNS(ctx context.Context, s *corev1.Service, eps []*discoveryv1.EndpointSlice) DNS {
	d := DNS{Server: r.opts.DNS.String(), Name: strings.Join([]string{s.Name, s.Namespace, "svc", r.opts.Domain}, ".") + ".", Want: published(s, eps)}
	answer, err := r.opts.Lookup(ctx, r.opts.DNS, d.Name)
	if err != nil {
		d.Error = err.Error()
	}
	d.Answer = append([]netip.Addr{}, answer...)
	return d
}

func (r *Room) readBack(ctx context.Context, rule *Rule) {
	var err error
	if rule.Leads, rule.Seen, err = r.opts.ReadBack(ctx, netip.MustParseAddrPort(rule.Address)); err != nil {
		rule.Error = err.Error()
	}
}

// well tells whether nothing was seen that somebody could ask about.
func (w *Way) well() bool {
	if w.DNS.Error != "" || !slices.Equal(w.DNS.Want, w.DNS.Answer) {
		return false
	}
	for _, p := range w.Ports {
		if slices.ContainsFunc(p.Rules, func(r Rule) bool { return !r.Leads }) || slices.ContainsFunc(p.Hops, func(h Hop) bool { return h.Error != "" }) {
			return false
		}
	}
	return true
}
