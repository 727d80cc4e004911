package intercept

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Port names a port of a Service, as it is named there.
type Port struct{ Namespace, Service, Name string }

// A Redirector leads new connections to a port of a Service elsewhere than to its endpoints.
type Redirector interface {
	// Redirect returns when new connections go to one of these addresses, that of their IP family. endpoints is told, before
	// that and whenever they change, which endpoints the Service has itself. After an error nothing is sure.
	Redirect(ctx context.Context, port Port, to []netip.AddrPort, endpoints func([]netip.AddrPort)) error
	// Restore returns when they go to the endpoints again.
	Restore(ctx context.Context, port Port) error
}

// Options configure a Room. All but Log are required.
type Options struct {
	// Addresses are this machine's on the pod bridge, one of each IP family.
	Addresses []netip.Addr
	// Domain is the cluster's, as in cluster.local, and DNS the address that pods ask.
	Domain string
	DNS    netip.Addr
	// Log defaults to slog.Default().
	Log *slog.Logger
}

// Room has the intercepts of this machine. Make it with New, serve its Handler and call Run once.
type Room struct {
	services   corelisters.ServiceLister
	redirector Redirector
	opts       Options
	log        *slog.Logger

	// ended is closed when Run ends: no intercept begins any more. cut ends the connections.
	ended       context.Context
	end         context.CancelFunc
	cut         context.Context
	cutAll      context.CancelFunc
	connections sync.WaitGroup

	mu       sync.Mutex // guards what follows
	active   map[Port]Intercept
	sessions sync.WaitGroup
}

// New makes a Room that looks for Services in a lister.
func New(services corelisters.ServiceLister, redirector Redirector, opts Options) *Room {
	r := &Room{services: services, redirector: redirector, opts: opts, log: cmp.Or(opts.Log, slog.Default()), active: map[Port]Intercept{}}
	r.ended, r.end = context.WithCancel(context.Background())
	r.cut, r.cutAll = context.WithCancel(context.Background())
	return r
}

// Run lets intercepts begin until ctx ends, then ends them all, gives their traffic back and cuts the connections that are
// left.
func (r *Room) Run(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	r.end() // nobody is added to sessions after this
	r.mu.Unlock()
	r.sessions.Wait()
	r.cutAll()
	r.connections.Wait()
	return nil
}

// List has the intercepts that are in force or about to be, sorted by their Services.
func (r *Room) List() []Intercept {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Intercept, 0, len(r.active))
	for _, i := range r.active {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Intercept) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

// Intercept leads the traffic of a Service's port to a process until ctx ends, and tells where it goes whenever that changes,
// or until tell fails. The error is one of the API's and says what is wrong with the request; nothing was redirected then.
func (r *Room) Intercept(ctx context.Context, request Request, tell func(Event) error) error {
	i, err := r.find(request)
	if err != nil {
		return err
	}
	if err := r.begin(i); err != nil {
		return err
	}
	defer r.release(i)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ended, cancel)()
	if err := r.newSession(i).run(ctx, tell); err != nil {
		return apierrors.NewInternalError(fmt.Errorf("intercept %s: %w", i, err))
	}
	return nil
}

// find looks for what a request names.
func (r *Room) find(request Request) (Intercept, error) {
	if err := request.check(); err != nil {
		return Intercept{}, apierrors.NewBadRequest(err.Error())
	}
	svc, err := r.services.Services(request.Namespace).Get(request.Service)
	if err != nil {
		return Intercept{}, err // not found, in the API's words
	}
	port, err := PortOf(svc, request.Port, func(string, []string) string { return "" })
	if err != nil {
		return Intercept{}, apierrors.NewBadRequest(err.Error())
	}
	if err := checkTarget(svc, port, request.To); err != nil {
		return Intercept{}, apierrors.NewBadRequest(err.Error())
	}
	return Intercept{
		Namespace: svc.Namespace, Service: svc.Name, Port: port.Port, PortName: port.Name,
		To: request.To, Headers: append([]string{}, request.Headers...), Since: time.Now().UTC().Truncate(time.Second),
	}, nil
}

func (i Intercept) port() Port { return Port{i.Namespace, i.Service, i.PortName} }

// begin takes the port, which one intercept may have.
func (r *Room) begin(i Intercept) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended.Err() != nil {
		return apierrors.NewServiceUnavailable("the daemon is stopping")
	}
	if other, taken := r.active[i.port()]; taken {
		return apierrors.NewConflict(schema.GroupResource{Resource: "services"}, i.Service, errors.New("it is intercepted already: "+other.String()))
	}
	r.active[i.port()] = i
	r.sessions.Add(1)
	return nil
}

func (r *Room) release(i Intercept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.active, i.port())
	r.sessions.Done()
}

// resolvConf is what a pod of the namespace has in /etc/resolv.conf, but for what it takes from the machine.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#namespaces-of-services
func (r *Room) resolvConf(namespace string) string {
	return fmt.Sprintf("search %s.svc.%[2]s svc.%[2]s %[2]s\nnameserver %[3]s\noptions ndots:5\n", namespace, r.opts.Domain, r.opts.DNS)
}
