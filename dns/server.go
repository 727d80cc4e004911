package dns

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	coreinformers "k8s.io/client-go/informers/core/v1"
	discoveryinformers "k8s.io/client-go/informers/discovery/v1"
)

const (
	// DefaultDomain is the cluster's domain when Options names none.
	DefaultDomain = "cluster.local"
	// DefaultResolvConf is where the host's nameservers are read.
	DefaultResolvConf = "/etc/resolv.conf"

	// aliasDomain is answered like svc.<Domain>.
	aliasDomain = "svc.local."
)

// Options configure a Server. Only Addr is required.
type Options struct {
	// Domain is the cluster's domain, with or without a final dot.
	// Default: DefaultDomain.
	Domain string
	// Addr is the IP address and port to answer on, over UDP and TCP, such
	// as "10.244.0.1:53". Port 0 takes a free one, see Server.Addr. The
	// unspecified address is refused: replies could leave from another
	// address than the one that was asked.
	Addr string
	// OtherAddrs are more of the same, of other IP families. Default: none.
	OtherAddrs []string
	// ResolvConf is the resolv.conf(5) whose nameservers get every name that
	// is not the cluster's. It is followed as it changes. Default:
	// DefaultResolvConf.
	ResolvConf string
	// HostsFiles are in the format of hosts(5). Their names are answered, as they change; their loopback addresses
	// become Addr or the one of OtherAddrs of the family, which is where pods reach this machine. Default: none.
	HostsFiles []string
	// Log gets changes of the upstream nameservers. Default: slog.Default().
	Log *slog.Logger
}

// Server answers DNS questions. Make it with New, then call Run once.
type Server struct {
	domain  suffix // cluster.local.
	alias   suffix // svc.local.
	static  map[string]node
	machine map[string]node // by the whole name
	hosts   *hostsFiles
	sockets *sockets
	others  []*sockets // of OtherAddrs
	watch   *watcher
	forward *forwarder
	cache   *answerCache
	flights singleflight.Group // questions to upstream
	log     *slog.Logger
	// tcpIdle, staleAfter and syncPatience are the constants; tests change them.
	tcpIdle, staleAfter, syncPatience time.Duration

	// current is swapped by watch and never changed in place.
	current atomic.Pointer[snapshot]
}

// New binds the sockets and registers with the informers, which may be started
// before or after. The error says which address could not be had and why.
func New(services coreinformers.ServiceInformer, slices discoveryinformers.EndpointSliceInformer,
	namespaces coreinformers.NamespaceInformer, opts Options) (*Server, error) {
	domain := dns.CanonicalName(cmp.Or(opts.Domain, DefaultDomain))
	if _, ok := dns.IsDomainName(domain); !ok || domain == "." {
		return nil, fmt.Errorf("dns: %q is no domain for a cluster", opts.Domain)
	}
	s := &Server{
		domain: newSuffix(domain), alias: newSuffix(aliasDomain),
		log: cmp.Or(opts.Log, slog.Default()), cache: newAnswerCache(), tcpIdle: tcpIdle, staleAfter: staleAfter,
		syncPatience: syncPatience,
	}
	s.current.Store(&snapshot{})
	var err error
	if s.sockets, err = listen(opts.Addr); err != nil {
		return nil, err
	}
	addrs := []netip.Addr{s.Addr().Addr()}
	for _, other := range opts.OtherAddrs {
		more, err := listen(other)
		if err != nil {
			s.closeSockets()
			return nil, err
		}
		s.others, addrs = append(s.others, more), append(addrs, more.addr.Addr())
	}
	s.static, s.machine = staticNodes(domain, addrs), machineNodes(addrs)
	s.hosts = newHostsFiles(opts.HostsFiles, addrs, s.log)
	s.forward = newForwarder(cmp.Or(opts.ResolvConf, DefaultResolvConf), s.isOurs, s.log)
	if s.watch, err = newWatcher(domain, services, slices, namespaces, &s.current); err != nil {
		s.closeSockets()
		return nil, err
	}
	return s, nil
}

func (s *Server) closeSockets() {
	for _, sockets := range s.allSockets() {
		sockets.close()
	}
}

func (s *Server) allSockets() []*sockets { return append([]*sockets{s.sockets}, s.others...) }

// Addr is the address that the server answers on, with the port it got.
func (s *Server) Addr() netip.AddrPort { return s.sockets.addr }

// OtherAddr is the first of OtherAddrs in the same way; the zero AddrPort: there is none.
func (s *Server) OtherAddr() netip.AddrPort {
	if len(s.others) == 0 {
		return netip.AddrPort{}
	}
	return s.others[0].addr
}

// syncPatience is how long questions wait in the sockets until the informers have synced, less than the five seconds after
// which resolvers ask again. So those that come while a daemon starts anew get their answer, and not the SERVFAIL after
// which they would look no further. CoreDNS's plugin kubernetes waits likewise.
const syncPatience = 3 * time.Second

// Run answers until ctx ends, then waits for all it started and returns nil.
// It returns earlier, with an error, when a socket fails for good.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-ctx.Done()
		s.Close()
		return nil
	})
	group.Go(func() error { return s.watch.run(ctx) })
	group.Go(func() error { return s.forward.prober.run(ctx) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-s.watch.synced:
		case <-time.After(s.syncPatience):
		}
		for _, sockets := range s.allSockets() {
			for _, conn := range sockets.udp {
				group.Go(func() error { return s.serveUDP(ctx, conn) })
			}
			group.Go(func() error { return s.serveTCP(ctx, sockets.tcp) })
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("dns server on %s: %w", s.Addr(), err)
	}
	return nil
}

// Close releases the sockets of a Server whose Run is never called. Run does
// it by itself; a second call does nothing.
func (s *Server) Close() {
	s.closeSockets()
	s.watch.stop()
}

// isOurs tells whether a nameserver of the host is this server, by its own
// address or by the ClusterIP that leads to it: asking it would be a loop.
func (s *Server) isOurs(upstream netip.AddrPort) bool {
	for _, sockets := range s.allSockets() {
		if upstream == sockets.addr {
			return true
		}
	}
	kubeDNS, _ := s.current.Load().inServices("kube-dns.kube-system")
	for _, set := range kubeDNS {
		for _, rr := range set.answer {
			if ip, ok := address(rr); ok && ip == upstream.Addr() {
				return true
			}
		}
	}
	return false
}

// address is the IP address that an A or AAAA record holds.
func address(rr dns.RR) (netip.Addr, bool) {
	var ip net.IP
	switch rr := rr.(type) {
	case *dns.A:
		ip = rr.A
	case *dns.AAAA:
		ip = rr.AAAA
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

// suffix is a zone's name in the two forms that names are compared with.
type suffix struct {
	apex   string // "cluster.local."
	dotted string // ".cluster.local."
}

func newSuffix(apex string) suffix { return suffix{apex: apex, dotted: "." + apex} }

// cut returns the part of name (lower case, with the final dot) that stands
// before the zone, "" for the zone itself. It is false for other names.
func (z suffix) cut(name string) (rest string, ok bool) {
	if name == z.apex {
		return "", true
	}
	rest, ok = strings.CutSuffix(name, z.dotted)
	if ok && strings.IndexByte(name, '\\') >= 0 {
		// A dot may be escaped, and then it does not end a label.
		ok = dns.IsSubDomain(z.apex, name)
	}
	return rest, ok
}
