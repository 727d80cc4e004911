package dns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxForwards is how many questions may wait for upstream at once; each
	// has a socket of its own, and the process's open files are limited.
	// More get SERVFAIL at once.
	maxForwards = 512
	// nextAfter is how long a nameserver may take before the next one is asked too.
	nextAfter = 250 * time.Millisecond
	// upstreamTimeout is how long one nameserver may take.
	upstreamTimeout = 1500 * time.Millisecond
	// rounds is how often the nameservers are asked when none answers and one was
	// well before: packets get lost, and a second silence means more than the first.
	rounds = 2
	// forwardTimeout is how long all of them together may take. Resolvers in
	// libc give up after 5 s; the client should hear of the failure before.
	forwardTimeout = 4500 * time.Millisecond
	// upstreamBuffer holds any reply that fits the EDNS size we announce, and
	// those of servers that send more.
	upstreamBuffer = 4096
)

var errNoUpstream = errors.New("resolv.conf names no other nameserver")

// forwarder asks the host's nameservers.
type forwarder struct {
	conf   *resolvConf
	isOurs func(netip.AddrPort) bool
	slots  chan struct{}
	// each, all, brief and patience are upstreamTimeout, forwardTimeout, downTimeout and nextAfter; tests
	// change them.
	each, all, brief, patience time.Duration
	prober                     *prober
}

func newForwarder(path string, isOurs func(netip.AddrPort) bool, log *slog.Logger) *forwarder {
	f := &forwarder{
		conf:   &resolvConf{path: path, port: 53, log: log},
		isOurs: isOurs,
		slots:  make(chan struct{}, maxForwards),
		each:   upstreamTimeout,
		all:    forwardTimeout,
		brief:  downTimeout,

		patience: nextAfter,
	}
	f.prober = newProber(f.askProbe, log)
	return f
}

// enter takes one of the places for questions that wait; false if all are taken.
func (f *forwarder) enter() bool {
	select {
	case f.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (f *forwarder) leave() { <-f.slots }

// ask asks the nameservers until one answers: those that are up, then the others.
func (f *forwarder) ask(ctx context.Context, q *query) (reply *dns.Msg, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.all)
	defer cancel()
	for range rounds {
		alive, dead := f.servers(ctx)
		if len(alive)+len(dead) == 0 {
			return nil, errNoUpstream
		}
		wasUp := slices.ContainsFunc(alive, func(u *upstream) bool { return u.condition() == up })
		reply, err = f.askAll(ctx, alive, q)
		if (reply == nil || helpless(reply)) && len(dead) > 0 && ctx.Err() == nil {
			last, lastErr := f.askDown(ctx, dead, q)
			if last != nil && (reply == nil || !helpless(last)) {
				reply = last
			}
			err = errors.Join(err, lastErr)
		}
		if reply != nil {
			return reply, nil
		}
		if !wasUp || ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// servers are the nameservers to ask, the suspect ones last, and those that are down.
func (f *forwarder) servers(ctx context.Context) (alive, dead []*upstream) {
	var suspects []*upstream
	for _, u := range f.conf.upstreams(time.Now()) {
		if f.isOurs(u.addr) {
			continue
		}
		switch u.condition() {
		case up:
			alive = append(alive, u)
			continue
		case suspect:
			suspects = append(suspects, u)
		case down:
			dead = append(dead, u)
		}
		f.prober.watch(ctx, u)
	}
	return append(alive, suspects...), dead
}

// helpless tells replies that say nothing about the name.
func helpless(reply *dns.Msg) bool {
	switch reply.Rcode {
	case dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented:
		return true
	}
	return false
}

// askOne asks over UDP, and again over TCP when the reply was cut and the client
// itself came over TCP; a UDP client gets the cut reply and comes back.
func (f *forwarder) askOne(ctx context.Context, addr netip.AddrPort, q *query) (*dns.Msg, error) {
	reply, err := f.exchange(ctx, "udp", addr, q.forUpstream())
	if err == nil && reply.Truncated && q.tcp {
		return f.exchange(ctx, "tcp", addr, q.forUpstream())
	}
	return reply, err
}

// forUpstream is the open question as a message of our own: new ID, and EDNS
// only if the client has it, because that is between two neighbours.
func (q *query) forUpstream() *dns.Msg {
	m := new(dns.Msg).SetQuestion(q.upstream, q.ask.Question[0].Qtype)
	m.RecursionDesired = q.ask.RecursionDesired
	m.CheckingDisabled = q.ask.CheckingDisabled
	m.AuthenticatedData = q.ask.AuthenticatedData
	if q.edns != nil {
		m.SetEdns0(ednsSize, q.edns.Do())
	}
	return m
}

// exchange sends a question from a new socket, so from a port that cannot be
// guessed, and waits for its reply.
func (f *forwarder) exchange(ctx context.Context, network string, addr netip.AddrPort, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, f.each)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, network, addr.String())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()
	conn := &dns.Conn{Conn: raw, UDPSize: upstreamBuffer}
	if err := conn.WriteMsg(m); err != nil {
		return nil, err
	}
	return receive(conn, m, network == "udp")
}

// receive reads until the reply to m arrives. On UDP anybody can send to our
// port, so what does not belong to m is skipped.
func receive(conn *dns.Conn, m *dns.Msg, udp bool) (*dns.Msg, error) {
	for {
		reply, err := conn.ReadMsg()
		var broken net.Error
		if reply == nil || errors.As(err, &broken) {
			return nil, err
		}
		ours := answers(reply, m)
		switch {
		case ours && err == nil:
			return reply, nil
		case ours && reply.Truncated:
			// Cut in the middle of a record. The client is to use TCP anyway.
			reply.Answer, reply.Ns, reply.Extra = nil, nil, nil
			return reply, nil
		case !udp || ours:
			return nil, errors.Join(errors.New("malformed reply"), err)
		}
	}
}

// answers tells whether reply is the reply to m.
func answers(reply, m *dns.Msg) bool {
	if !reply.Response || reply.Id != m.Id || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], m.Question[0]
	return strings.EqualFold(got.Name, want.Name) && got.Qtype == want.Qtype && got.Qclass == want.Qclass
}
