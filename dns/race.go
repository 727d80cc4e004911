package dns

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// askAll asks nameservers in turn: the next one when one has failed, or has said nothing for a while. A refusal or a
// failure of one is passed on only if no other does better, as libc does.
func (f *forwarder) askAll(ctx context.Context, servers []*upstream, q *query) (second *dns.Msg, failure error) {
	asking, cancel := context.WithCancel(ctx)
	r := &race{f: f, q: q, servers: servers, waiting: map[int]bool{}, results: make(chan result, len(servers))}
	defer r.asked.Wait()
	defer cancel()
	for r.next < len(servers) || len(r.waiting) > 0 {
		if len(r.waiting) == 0 {
			r.ask(asking)
		}
		var patience <-chan time.Time
		if r.next < len(servers) {
			patience = time.After(f.patience)
		}
		select {
		case <-patience:
			r.ask(asking)
			continue
		case got := <-r.results:
			delete(r.waiting, got.from)
			r.judge(ctx, got)
		}
		if best := r.best(); best != nil {
			r.suspectOthers(ctx)
			return best, nil
		}
		if ctx.Err() != nil {
			break // our time is up, which is not the nameservers' fault
		}
	}
	if r.denial != nil {
		return r.denial, nil
	}
	return r.helpless, r.failure
}

// race is a question to several nameservers of which each has some advantage over the next.
type race struct {
	f       *forwarder
	q       *query
	servers []*upstream
	next    int          // of the servers, whom to ask next
	waiting map[int]bool // who was asked and has not answered
	results chan result
	asked   sync.WaitGroup

	answer, denial, helpless *dns.Msg
	denier                   int // whose denial it is
	failure                  error
}

// result is what came of asking one of the servers.
type result struct {
	from  int
	reply *dns.Msg
	err   error
}

// ask asks the next one.
func (r *race) ask(ctx context.Context) {
	n := r.next
	r.next++
	r.waiting[n] = true
	r.asked.Go(func() {
		reply, err := r.f.askOne(ctx, r.servers[n].addr, r.q)
		r.results <- result{n, reply, err}
	})
}

// judge takes note of a result.
func (r *race) judge(ctx context.Context, got result) {
	u := r.servers[got.from]
	switch {
	case got.err == nil && helpless(got.reply):
		r.f.prober.answered(u)
		r.helpless = got.reply
	case got.err == nil && got.reply.Rcode == dns.RcodeNameError:
		r.f.prober.answered(u)
		if r.denial == nil || got.from < r.denier {
			r.denial, r.denier = got.reply, got.from
		}
	case got.err == nil:
		r.f.prober.answered(u)
		r.answer = got.reply
	case ctx.Err() != nil:
		r.failure = fmt.Errorf("nameserver %s: %w", u.addr, got.err)
	default:
		r.failure = fmt.Errorf("nameserver %s: %w", u.addr, got.err)
		u.state.CompareAndSwap(int32(up), int32(suspect))
		r.f.prober.watch(ctx, u)
	}
}

// best is the reply that decides, if there is one. That a name does not exist is true only if those before say nothing
// else: they may know names of a network of their own.
func (r *race) best() *dns.Msg {
	if r.answer != nil || r.denial == nil {
		return r.answer
	}
	for n := range r.waiting {
		if n < r.denier {
			return nil
		}
	}
	return r.denial
}

// suspectOthers has those that were asked before and still say nothing be asked after the others from now on, until a
// probe finds that they are well.
func (r *race) suspectOthers(ctx context.Context) {
	for n := range r.waiting {
		if n == r.next-1 {
			continue // it was asked last, and has not had its time
		}
		u := r.servers[n]
		u.state.CompareAndSwap(int32(up), int32(suspect))
		r.f.prober.watch(ctx, u)
	}
}
