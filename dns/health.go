package dns

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// probeInterval is the pause between two probes of a nameserver that does not answer.
	probeInterval = time.Second
	// probeWhile is how long after the last question a nameserver that does not
	// answer is probed: nothing happens while nobody asks.
	probeWhile = 5 * time.Minute
	// downTimeout is what questions spend on nameservers that are down, when there
	// are no others. They may have come back since the last probe.
	downTimeout = 300 * time.Millisecond
)

// condition is what is known of a nameserver.
type condition int32

const (
	up      condition = iota
	suspect           // a question was not answered in time: others are asked first
	down              // nor was a probe: it gets little of a question's time
)

// upstream is one nameserver of the host.
type upstream struct {
	addr   netip.AddrPort
	state  atomic.Int32 // a condition
	wanted atomic.Int64 // when a question last had use for it while it was not up, in Unix nanoseconds
	probed atomic.Bool  // prober has it
}

func (u *upstream) condition() condition { return condition(u.state.Load()) }

// is changes the condition, and returns what it was.
func (u *upstream) is(c condition) condition { return condition(u.state.Swap(int32(c))) }

// prober asks nameservers that do not answer, in the background, until they do.
// One that is slow with one name is so found to be well within milliseconds.
type prober struct {
	ask   func(context.Context, *upstream) error
	log   *slog.Logger
	tasks chan *upstream
	// interval and while are probeInterval and probeWhile; tests shorten them.
	interval, while time.Duration
}

func newProber(ask func(context.Context, *upstream) error, log *slog.Logger) *prober {
	return &prober{ask: ask, log: log, tasks: make(chan *upstream), interval: probeInterval, while: probeWhile}
}

// run probes what is handed to watch until ctx ends.
func (p *prober) run(ctx context.Context) error {
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case u := <-p.tasks:
			probes.Go(func() { p.probe(ctx, u) })
		}
	}
}

// watch has a nameserver probed that is not up. It returns when ctx ends if nobody runs.
func (p *prober) watch(ctx context.Context, u *upstream) {
	u.wanted.Store(time.Now().UnixNano())
	if u.condition() == up || u.probed.Swap(true) {
		return
	}
	select {
	case p.tasks <- u:
	case <-ctx.Done():
		u.probed.Store(false)
	}
}

// probe asks until the nameserver answers, or nobody wants it any more: then it is suspect, because its state is
// not known.
func (p *prober) probe(ctx context.Context, u *upstream) {
	defer u.probed.Store(false)
	for {
		err := p.ask(ctx, u)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil || u.condition() == up: // a question may have been faster
			p.answered(u)
			return
		case u.is(down) != down:
			p.log.Warn("a nameserver does not answer; others are asked", "nameserver", u.addr, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.interval):
		}
		if time.Since(time.Unix(0, u.wanted.Load())) > p.while {
			u.is(suspect)
			return
		}
	}
}

// answered notes that a nameserver is well.
func (p *prober) answered(u *upstream) {
	if u.is(up) == down {
		p.log.Info("a nameserver answers again", "nameserver", u.addr)
	}
}

// askProbe asks for the root's name servers, which every nameserver knows or says that it does not.
func (f *forwarder) askProbe(ctx context.Context, u *upstream) error {
	_, err := f.exchange(ctx, "udp", u.addr, new(dns.Msg).SetQuestion(".", dns.TypeNS))
	return err
}

// askDown asks nameservers that are down, all at once and not for long.
func (f *forwarder) askDown(ctx context.Context, servers []*upstream, q *query) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, f.brief)
	defer cancel()
	replies, failures := make([]*dns.Msg, len(servers)), make([]error, len(servers))
	var asked sync.WaitGroup
	for i, u := range servers {
		asked.Go(func() {
			if replies[i], failures[i] = f.askOne(ctx, u.addr, q); failures[i] == nil && !helpless(replies[i]) {
				cancel()
			}
		})
	}
	asked.Wait()
	var second *dns.Msg
	for i, reply := range replies {
		if reply == nil {
			continue
		}
		f.prober.answered(servers[i])
		if second == nil || helpless(second) {
			second = reply
		}
	}
	if second != nil {
		return second, nil
	}
	return nil, errors.Join(failures...)
}
