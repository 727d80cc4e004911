package router

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// ownPrefix is where Gateways have addresses of their own: two that declare the same port and no host are told apart by it.
// LoadBalancer Services have theirs at the other end of the loopback network.
var ownPrefix = netip.MustParsePrefix("127.0.80.0/24")

// gatewaySockets are the sockets of Gateways beside the router's two ports. They belong to the goroutine that follows the
// objects.
type gatewaySockets struct {
	router *Router
	server *server // nil: nothing is served
	open   map[netip.AddrPort]*gatewaySocket
	// own are the addresses that Gateways have, by "namespace/name".
	own map[string]netip.Addr
}

type gatewaySocket struct {
	net.Listener
	secured bool
}

// errShared is why a port of localhost is not served under its number: that is where the router serves 80 or 443.
var errShared = errors.New("80 or 443 of all Gateways are served there")

// errOtherwise is why a port of localhost is not served: it is served, but with TLS and not without, or the other way round.
var errOtherwise = errors.New("an older Gateway has it there with another protocol")

// update opens the sockets of all Gateways, closes those that none needs, and notes where each Gateway is served. The error
// says which ports could not be had.
func (s *gatewaySockets) update(all []*gatewayPart) error {
	wanted := map[netip.AddrPort]bool{}
	taken := map[netip.Addr]bool{}
	var errs []error
	for _, g := range all {
		g.served = served{ownTaken: map[uint16]error{}, localTaken: map[uint16]error{}}
		if g.unusable != "" || len(g.made.listeners) == 0 {
			continue
		}
		address := s.assign(g, taken)
		if !address.IsValid() {
			errs = append(errs, fmt.Errorf("the Gateway %s: no address is left in %s", g.made.name, ownPrefix))
			continue
		}
		taken[address] = true
		for _, l := range g.made.listeners {
			at := netip.AddrPortFrom(address, l.port)
			if _, err := s.ensure(at, l.secured); err != nil {
				g.served.ownTaken[l.port] = err
				errs = append(errs, fmt.Errorf("the Gateway %s: %w", g.made.name, err))
				continue
			}
			wanted[at] = true
			g.served.own = address
		}
	}
	errs = append(errs, s.openLocal(all, wanted))
	for at, socket := range s.open {
		if !wanted[at] {
			_ = socket.Close()
			delete(s.open, at)
		}
	}
	s.own = map[string]netip.Addr{}
	for _, g := range all {
		if g.served.own.IsValid() {
			s.own[g.made.name] = g.served.own
		}
	}
	if len(s.open) == 0 {
		s.close()
	}
	return errors.Join(errs...)
}

// assign finds the address of a Gateway: the one that it had, else the first at which all its ports are free, else the first
// that no other Gateway has. It is zero if there is none.
func (s *gatewaySockets) assign(g *gatewayPart, taken map[netip.Addr]bool) netip.Addr {
	var candidates []netip.Addr
	if had, ok := s.own[g.made.name]; ok {
		candidates = append(candidates, had)
	}
	for _, told := range g.Status.Addresses {
		if a, err := netip.ParseAddr(told.Value); err == nil && ownPrefix.Contains(a) {
			candidates = append(candidates, a)
		}
	}
	for a := ownPrefix.Addr().Next(); ownPrefix.Contains(a.Next()); a = a.Next() {
		candidates = append(candidates, a)
	}
	others := map[netip.Addr]bool{}
	for name, a := range s.own {
		others[a] = others[a] || name != g.made.name
	}
	candidates = slices.DeleteFunc(candidates, func(a netip.Addr) bool { return others[a] || taken[a] })
	for _, a := range candidates {
		err := s.openAll(g, a)
		if err == nil {
			return a
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if len(candidates) == 0 {
		return netip.Addr{}
	}
	return candidates[0]
}

// openAll opens the ports of a Gateway at an address; all or none of those that are new.
func (s *gatewaySockets) openAll(g *gatewayPart, a netip.Addr) error {
	var fresh []netip.AddrPort
	for _, l := range g.made.listeners {
		at := netip.AddrPortFrom(a, l.port)
		made, err := s.ensure(at, l.secured)
		if err != nil {
			for _, f := range fresh {
				_ = s.open[f].Close()
				delete(s.open, f)
			}
			return err
		}
		if made {
			fresh = append(fresh, at)
		}
	}
	return nil
}

// openLocal opens on localhost the ports that are not the router's own pair. What somebody else has there is left to them:
// the Gateway is at its own address too.
func (s *gatewaySockets) openLocal(all []*gatewayPart, wanted map[netip.AddrPort]bool) error {
	addresses, err := localAddresses(s.router.opts.Addresses)
	if err != nil {
		return err
	}
	pair := *s.router.ports.Load()
	for _, g := range all {
		if g.unusable != "" {
			continue
		}
		for _, l := range g.made.listeners {
			switch l.port {
			case httpPort, httpsPort:
				continue
			case pair.HTTP, pair.HTTPS:
				g.served.localTaken[l.port] = errShared
				continue
			}
			for _, a := range addresses {
				if err := s.openShared(netip.AddrPortFrom(a, l.port), l.secured, wanted); err != nil {
					g.served.localTaken[l.port] = err
				}
			}
		}
	}
	return nil
}

// openShared opens a socket that several Gateways may have. The first of them decides whether it has TLS.
func (s *gatewaySockets) openShared(at netip.AddrPort, secured bool, wanted map[netip.AddrPort]bool) error {
	if wanted[at] && s.open[at].secured != secured {
		return errOtherwise
	}
	if _, err := s.ensure(at, secured); err != nil {
		return err
	}
	wanted[at] = true
	return nil
}

// ensure opens a socket, unless it is open. It tells whether it was not.
func (s *gatewaySockets) ensure(at netip.AddrPort, secured bool) (made bool, err error) {
	if open := s.open[at]; open != nil {
		if open.secured == secured {
			return false, nil
		}
		_ = open.Close()
		delete(s.open, at)
	}
	socket, err := net.Listen("tcp", at.String())
	if err != nil {
		return false, err
	}
	if s.server == nil {
		s.server = s.router.newServer()
	}
	s.open[at] = &gatewaySocket{s.server.add(socket, secured), secured}
	return true, nil
}

func (s *gatewaySockets) close() {
	if s.server != nil {
		s.server.close()
		s.server, s.open = nil, map[netip.AddrPort]*gatewaySocket{}
	}
}

// wantsPair tells whether some Gateway has one of the ports that the router serves for all.
func wantsPair(all []*gatewayPart) bool {
	return slices.ContainsFunc(all, func(g *gatewayPart) bool {
		return slices.ContainsFunc(g.made.listeners, func(l *listener) bool { return l.port == httpPort || l.port == httpsPort })
	})
}
