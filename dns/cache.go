package dns

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"k8s.io/utils/lru"
)

const (
	// cacheSize is how many answers of upstream are kept, a KB each at most.
	cacheSize = 4096
	// maxAnswerTTL and maxDenialTTL bound how long an answer is taken for true, and that there is none; CoreDNS has the same.
	maxAnswerTTL, maxDenialTTL = time.Hour, 30 * time.Minute
	// staleLimit is how old an answer may be that is given because upstream has none, staleTTL what its clients are told, and
	// staleAfter how long upstream may take before they get it (RFC 8767, section 5).
	staleLimit = 24 * time.Hour
	staleTTL   = 30
	staleAfter = 1800 * time.Millisecond
	// prefetchShare of its time is left when an answer that is asked for is fetched anew.
	prefetchShare = 10
)

// answerCache keeps what upstream said, for as long as it said. The names that it knows are those of one set of nameservers: with
// others, as a VPN brings them, the same name may be another machine.
type answerCache struct {
	answers *lru.Cache
	now     func() time.Time
}

func newAnswerCache() *answerCache { return &answerCache{answers: lru.New(cacheSize), now: time.Now} }

// cacheKey is all that upstream's answer depends on.
type cacheKey struct {
	name                                      string
	qtype                                     uint16
	recurse, checked, authentic, edns, secure bool // the flags RD, CD and AD, EDNS, and its flag DO

	servers uint64 // which nameservers were asked, see resolvConf.generation
}

// An answer never changes but for renewing.
type answer struct {
	reply    *dns.Msg
	from     time.Time
	ttl      time.Duration
	renewing atomic.Bool // somebody is about to fetch it anew
}

func (q *query) cacheKey(servers uint64) cacheKey {
	return cacheKey{
		name: strings.ToLower(q.upstream), qtype: q.ask.Question[0].Qtype, servers: servers,
		recurse: q.ask.RecursionDesired, checked: q.ask.CheckingDisabled, authentic: q.ask.AuthenticatedData,
		edns: q.edns != nil, secure: q.edns != nil && q.edns.Do(),
	}
}

// get returns an answer that is true, and whether it is time to fetch it anew; nil if there is none.
func (c *answerCache) get(key cacheKey) (reply *dns.Msg, renew bool) {
	a, age := c.find(key)
	if a == nil || age >= a.ttl {
		return nil, false
	}
	return a.aged(age), a.due(age) && !a.renewing.Swap(true)
}

// fresh returns an answer that need not be fetched anew; nil if there is none.
func (c *answerCache) fresh(key cacheKey) *dns.Msg {
	a, age := c.find(key)
	if a == nil || a.due(age) {
		return nil
	}
	return a.aged(age)
}

// stale returns an answer that was true, for when there is no other; nil if there is none.
func (c *answerCache) stale(key cacheKey) *dns.Msg {
	a, age := c.find(key)
	if a == nil || age > a.ttl+staleLimit {
		return nil
	}
	return a.withTTL(func(uint32) uint32 { return staleTTL })
}

func (c *answerCache) find(key cacheKey) (*answer, time.Duration) {
	known, ok := c.answers.Get(key)
	if !ok {
		return nil, 0
	}
	a := known.(*answer)
	return a, c.now().Sub(a.from)
}

// add keeps upstream's reply, if it is one to keep.
func (c *answerCache) add(key cacheKey, reply *dns.Msg) {
	if ttl := lifetime(reply); ttl > 0 {
		c.answers.Add(key, &answer{reply: reply, from: c.now(), ttl: ttl})
	}
}

// lifetime is how long a reply is true: as long as each of its records, or, if it denies something, as the zone's SOA
// record says (RFC 2308, section 5). It is 0 for a reply that says nothing about the name, and for one that was cut.
func lifetime(reply *dns.Msg) time.Duration {
	if reply.Truncated || reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return 0
	}
	limit := maxDenialTTL
	if reply.Rcode == dns.RcodeSuccess && len(reply.Answer) > 0 {
		limit = maxAnswerTTL
	} else if !denies(reply) {
		return 0
	}
	for _, rrs := range [][]dns.RR{reply.Answer, reply.Ns} {
		for _, rr := range rrs {
			limit = min(limit, time.Duration(rr.Header().Ttl)*time.Second)
			if soa, ok := rr.(*dns.SOA); ok && len(reply.Answer) == 0 {
				limit = min(limit, time.Duration(soa.Minttl)*time.Second)
			}
		}
	}
	return limit
}

// denies tells whether a reply without an answer says for how long there is none.
func denies(reply *dns.Msg) bool {
	for _, rr := range reply.Ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			return true
		}
	}
	return false
}

// due tells whether so little of its time is left that it is fetched anew.
func (a *answer) due(age time.Duration) bool { return (a.ttl-age)*prefetchShare < a.ttl }

// aged is the reply with what is left of the records' time.
func (a *answer) aged(age time.Duration) *dns.Msg {
	passed := uint32(age / time.Second)
	return a.withTTL(func(ttl uint32) uint32 { return ttl - min(ttl, passed) })
}

// withTTL is a copy whose records have other times. The OPT record has none.
func (a *answer) withTTL(change func(uint32) uint32) *dns.Msg {
	reply := a.reply.Copy()
	for _, rrs := range [][]dns.RR{reply.Answer, reply.Ns, reply.Extra} {
		for _, rr := range rrs {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				h.Ttl = change(h.Ttl)
			}
		}
	}
	return reply
}
