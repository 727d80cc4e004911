package router

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	httpPort, httpsPort = 80, 443
	// nextHTTP and nextHTTPS are tried where one of those is taken, and as many pairs after them as nextPairs says.
	nextHTTP, nextHTTPS, nextPairs = 8080, 8443, 100

	// headerLimit is how long a client may take for the head of a request, as nginx has it.
	headerLimit = 60 * time.Second
	// keepAlive is how long a client's connection may wait for its next request.
	keepAlive = 75 * time.Second
	// endLimit is how long requests may take to end when the router stops.
	endLimit = time.Second
)

// Ports are where the router listens. The zero value is none.
type Ports struct{ HTTP, HTTPS uint16 }

// ParsePorts reads a flag: two ports of 1 to 65535 such as 80,443.
func ParsePorts(text string) (Ports, error) {
	first, second, found := strings.Cut(text, ",")
	http, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	https, err2 := strconv.ParseUint(strings.TrimSpace(second), 10, 16)
	if !found || err != nil || err2 != nil || http == 0 || https == 0 || http == https {
		return Ports{}, fmt.Errorf("%q: use two ports such as %d,%d", text, httpPort, httpsPort)
	}
	return Ports{uint16(http), uint16(https)}, nil
}

// URL is where a host is reached by a scheme, http or https, without a path.
func (p Ports) URL(scheme, host string) string {
	port, usual := p.HTTP, uint16(httpPort)
	if scheme == "https" {
		port, usual = p.HTTPS, httpsPort
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != usual {
		host += ":" + strconv.Itoa(int(port))
	}
	return scheme + "://" + host
}

// candidates are the pairs of ports to try, those of before first.
func candidates(before Ports) []Ports {
	all := []Ports{{httpPort, httpsPort}}
	for i := range uint16(nextPairs) {
		all = append(all, Ports{nextHTTP + i, nextHTTPS + i})
	}
	if before != (Ports{}) {
		all = append([]Ports{before}, all...)
	}
	return all
}

// listeners are the sockets of a pair of ports on several addresses.
type listeners struct {
	ports       Ports
	addresses   []netip.Addr
	http, https []net.Listener
}

func (l *listeners) close() {
	for _, one := range slices.Concat(l.http, l.https) {
		_ = one.Close()
	}
}

// listenAt binds both ports at each address. An error leaves none of them bound.
func listenAt(ports Ports, addresses []netip.Addr) (*listeners, error) {
	l := &listeners{ports: ports, addresses: addresses}
	for _, side := range []struct {
		port uint16
		to   *[]net.Listener
	}{{ports.HTTP, &l.http}, {ports.HTTPS, &l.https}} {
		for _, a := range addresses {
			one, err := net.Listen("tcp", netip.AddrPortFrom(a, side.port).String())
			if err != nil {
				l.close()
				return nil, err
			}
			*side.to = append(*side.to, one)
		}
	}
	return l, nil
}

// listenFirst binds the first pair of candidates that is free.
func listenFirst(pairs []Ports, addresses []netip.Addr) (*listeners, error) {
	var first error
	for _, ports := range pairs {
		l, err := listenAt(ports, addresses)
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, fmt.Errorf("no ports for Ingresses: %w", first)
}

// localAddresses are those that the router listens at: localhost's, and the machine's in the ranges that are open to other
// machines.
func localAddresses(opened []netip.Prefix) ([]netip.Addr, error) {
	all := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	machine, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("this machine's addresses: %w", err)
	}
	for _, a := range machine {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := p.Addr()
		open := slices.ContainsFunc(opened, func(o netip.Prefix) bool { return o.Contains(ip) })
		if ip == netip.IPv6Loopback() || open && !ip.IsLoopback() {
			all = append(all, ip)
		}
	}
	return all, nil
}

// server serves sockets until it is closed.
type server struct {
	router         *Router
	plain, secured *http.Server
	running        sync.WaitGroup // all that was started: who accepts, and requests
	ctx            context.Context
	cancel         context.CancelFunc
}

// serve begins to serve l.
func (r *Router) serve(l *listeners) *server {
	s := r.newServer()
	for _, one := range l.http {
		s.add(one, false)
	}
	for _, one := range l.https {
		s.add(one, true)
	}
	return s
}

// newServer makes one without sockets. HTTP/2 is spoken on plain ones too, with those who know that beforehand, as gRPC's
// clients do.
func (r *Router) newServer() *server {
	s := &server{router: r}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.running.Add(1) // until close, so that nobody waits before
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.running.Add(1)
		defer s.running.Done()
		r.ServeHTTP(w, req)
	})
	for _, one := range []**http.Server{&s.plain, &s.secured} {
		*one = &http.Server{
			Handler: handler, ReadHeaderTimeout: headerLimit, IdleTimeout: keepAlive, Protocols: new(http.Protocols),
			BaseContext: func(net.Listener) context.Context { return s.ctx },
			ErrorLog:    slog.NewLogLogger(r.log.Handler(), slog.LevelDebug), // what clients do wrong is no news
		}
		(*one).Protocols.SetHTTP1(true)
	}
	s.plain.Protocols.SetUnencryptedHTTP2(true)
	s.secured.Protocols.SetHTTP2(true)
	s.secured.TLSConfig = &tls.Config{GetCertificate: r.getCertificate}
	return s
}

// add serves a socket until it, or what add returns, is closed.
func (s *server) add(l net.Listener, secured bool) net.Listener {
	if !secured {
		s.running.Go(func() { s.router.logEnd(l, s.plain.Serve(l)) })
		return l
	}
	l = s.router.sniff(s.ctx, l, &s.running)
	s.running.Go(func() { s.router.logEnd(l, s.secured.ServeTLS(l, "", "")) })
	return l
}

func (r *Router) logEnd(l net.Listener, err error) {
	if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		r.log.Error("Ingresses are not served any more", "at", l.Addr().String(), "err", err)
	}
}

// close lets go of the ports at once, lets requests end within endLimit, and waits for all that was started.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	var ending sync.WaitGroup
	for _, one := range []*http.Server{s.plain, s.secured} {
		ending.Go(func() {
			if one.Shutdown(ctx) != nil {
				_ = one.Close()
			}
		})
	}
	ending.Wait()
	s.cancel() // connections that were upgraded are nobody's business but their handlers'
	s.running.Done()
	s.running.Wait()
}
