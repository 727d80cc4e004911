package dns

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// ednsSize is the UDP payload that we tell others we take: it crosses
	// every link in one piece (DNS flag day 2020).
	ednsSize = 1232
	// maxUDPReply bounds what a client may ask for. Pods are one bridge away,
	// so a fragment or two is fine; more is what an amplifier would send.
	maxUDPReply = 4096
	// optSize is the length of an OPT record without options.
	optSize = 11
)

// settle ends an answer with what the cluster has, or has not, at a place.
func (s *Server) settle(snap *snapshot, q *query, at place, owner string) {
	qtype := q.ask.Question[0].Qtype
	set, ok := at.node[qtype]
	switch {
	case at.outcome == missing:
		q.reply.Rcode = dns.RcodeNameError
	case qtype == dns.TypeANY:
		set, ok = anyRecords(), true
	case qtype == dns.TypeSOA && strings.EqualFold(owner, at.apex):
		set, ok = rrset{answer: []dns.RR{s.soa(at.apex, snap.serial)}}, true
	}
	if !ok {
		q.reply.Ns = []dns.RR{s.soa(at.apex, snap.serial)}
		return
	}
	q.add(owner, set)
}

// anyRecords answer ANY questions with as little as RFC 8482 section 4.2 allows.
func anyRecords() rrset {
	return rrset{answer: []dns.RR{&dns.HINFO{Hdr: header("", dns.TypeHINFO), Cpu: "RFC8482"}}}
}

// add appends the records of a set under the name that was asked, which may
// differ in case or be the alias. They start at a random one, so that clients
// that take the first spread over all.
func (q *query) add(owner string, set rrset) {
	first := 0
	if len(set.answer) > 1 {
		first = rand.IntN(len(set.answer))
	}
	if q.reply.Answer == nil {
		q.reply.Answer = make([]dns.RR, 0, len(set.answer))
	}
	for i := range set.answer {
		rr := set.answer[(first+i)%len(set.answer)]
		if rr.Header().Name != owner {
			rr = dns.Copy(rr)
			rr.Header().Name = owner
		}
		q.reply.Answer = append(q.reply.Answer, rr)
	}
	q.reply.Extra = append(q.reply.Extra, set.extra...)
}

// soa is the zone's SOA record. Its last field is how long a client may
// remember that a name does not exist (RFC 2308).
func (s *Server) soa(apex string, serial uint32) dns.RR {
	return &dns.SOA{
		Hdr: header(apex, dns.TypeSOA), Ns: nameServer(s.domain.apex), Mbox: "hostmaster." + s.domain.apex,
		Serial: serial, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl,
	}
}

// finish asks upstream for what is still open and sends the packed reply, once. Where upstream has nothing to say, or is
// slow, an answer that was true before does (RFC 8767).
func (s *Server) finish(ctx context.Context, q *query, send func([]byte)) {
	key := s.cacheKey(q)
	var once sync.Once
	late := time.AfterFunc(s.staleAfter, func() {
		if stale := s.cache.stale(key); stale != nil {
			once.Do(func() { send(q.with(stale)) })
		}
	})
	defer late.Stop()
	up, err := s.fetch(ctx, q)
	once.Do(func() {
		if err != nil || helpless(up) {
			if stale := s.cache.stale(key); stale != nil {
				up, err = stale, nil
			}
		}
		if err != nil {
			s.log.Debug("no answer from upstream", "name", q.upstream, "err", err)
			send(q.failure())
			return
		}
		send(q.with(up))
	})
}

// fetch asks upstream, once for all who ask the same at the same time, and keeps what it says.
func (s *Server) fetch(ctx context.Context, q *query) (*dns.Msg, error) {
	key := s.cacheKey(q)
	up, err, _ := s.flights.Do(fmt.Sprint(key, q.tcp), func() (any, error) {
		if up := s.cache.fresh(key); up != nil {
			return up, nil // came since this question looked for it
		}
		up, err := s.forward.ask(ctx, q)
		if err != nil {
			return nil, err
		}
		s.cache.add(key, up)
		return up, nil
	})
	if err != nil {
		return nil, err
	}
	return up.(*dns.Msg), nil
}

func (s *Server) cacheKey(q *query) cacheKey {
	return q.cacheKey(s.forward.conf.generation(s.cache.now()))
}

// with is the packed reply with what upstream says.
func (q *query) with(up *dns.Msg) []byte {
	q.complete(up)
	return q.pack(nil)
}

// complete adds what upstream says to the chain of CNAMEs that led there.
func (q *query) complete(up *dns.Msg) {
	q.reply.Rcode = up.Rcode
	q.reply.Truncated = up.Truncated
	q.reply.AuthenticatedData = up.AuthenticatedData && len(q.reply.Answer) == 0
	q.reply.Answer = append(q.reply.Answer, up.Answer...)
	q.reply.Ns = up.Ns
	for _, rr := range up.Extra {
		if rr.Header().Rrtype != dns.TypeOPT { // hop by hop: pack adds ours
			q.reply.Extra = append(q.reply.Extra, rr)
		}
	}
}

// limit is how many bytes the reply may have.
func (q *query) limit() int {
	switch {
	case q.tcp:
		return dns.MaxMsgSize
	case q.edns == nil:
		return dns.MinMsgSize
	}
	return min(max(int(q.edns.UDPSize()), dns.MinMsgSize), maxUDPReply)
}

// pack makes the reply fit and puts it on the wire format, in buf if it is large
// enough. Additional records go first, without TC: the client can ask for them.
func (q *query) pack(buf []byte) []byte {
	limit, reply := q.limit(), q.reply
	if len(reply.Extra) > 0 {
		reply.Compress = true
		if reply.Len() > limit-optSize {
			reply.Extra = nil
		}
	}
	if q.edns != nil {
		reply.SetEdns0(ednsSize, q.edns.Do())
	}
	reply.Truncate(limit)
	packed, err := reply.PackBuffer(buf)
	if err != nil {
		// An upstream record that this library reads but cannot write.
		return q.failure()
	}
	return packed
}

// failure is SERVFAIL without any record.
func (q *query) failure() []byte {
	reply := new(dns.Msg).SetRcode(q.ask, dns.RcodeServerFailure)
	reply.RecursionAvailable = true
	if q.edns != nil {
		reply.SetEdns0(ednsSize, q.edns.Do())
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil // the question itself cannot be written: drop it
	}
	return packed
}
