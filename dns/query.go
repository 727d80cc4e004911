package dns

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strings"

	"github.com/miekg/dns"
)

const (
	headerSize = 12 // bytes, RFC 1035 section 4.1.1

	// ednsSize is the UDP payload that we tell others we take: it crosses
	// every link in one piece (DNS flag day 2020).
	ednsSize = 1232
	// maxUDPReply bounds what a client may ask for. Pods are one bridge away,
	// so a fragment or two is fine; more is what an amplifier would send.
	maxUDPReply = 4096
	// maxChain bounds how many ExternalName Services may point at each other.
	maxChain = 8
)

// query is a question and the reply that grows for it.
type query struct {
	ask   *dns.Msg
	edns  *dns.OPT // the client's; nil without EDNS
	reply *dns.Msg
	tcp   bool
	// upstream is the name that only upstream can answer: the one asked, or
	// the last of a chain of CNAMEs.
	upstream string
}

// begin answers a packet. The reply may use buf's memory. No reply and no query
// means that the packet deserves no answer. A query is returned when upstream
// has to be asked: hand it to finish.
func (s *Server) begin(packet, buf []byte, tcp bool) (reply []byte, open *query) {
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		return nil, nil // noise, or a reply: answering replies makes loops
	}
	if packet[2]>>3&0xf != dns.OpcodeQuery {
		return refusal(packet, dns.RcodeNotImplemented), nil
	}
	if binary.BigEndian.Uint16(packet[4:]) != 1 {
		return refusal(packet, dns.RcodeFormatError), nil
	}
	q := &query{ask: new(dns.Msg), tcp: tcp}
	if err := q.ask.Unpack(packet); err != nil || len(q.ask.Question) != 1 || !q.readEDNS() {
		return refusal(packet, dns.RcodeFormatError), nil
	}
	q.reply = new(dns.Msg).SetReply(q.ask)
	q.reply.RecursionAvailable = true
	if s.answer(q) {
		return q.pack(buf), nil
	}
	return nil, q
}

// refusal is a reply of a header only, for packets whose rest is not to be
// trusted.
func refusal(packet []byte, rcode byte) []byte {
	reply := make([]byte, headerSize)
	copy(reply, packet[:3])
	reply[2] = reply[2]&0x79 | 0x80 // keep opcode and RD; QR
	reply[3] = 0x80 | rcode         // RA
	return reply
}

// readEDNS finds the client's OPT record; it is false for more than one, which
// RFC 6891 section 6.1.1 calls a format error.
func (q *query) readEDNS() bool {
	for _, rr := range q.ask.Extra {
		opt, ok := rr.(*dns.OPT)
		if ok && q.edns != nil {
			return false
		}
		if ok {
			q.edns = opt
		}
	}
	return true
}

// answer fills the reply; false when upstream has to be asked for the rest.
func (s *Server) answer(q *query) bool {
	question := q.ask.Question[0]
	switch {
	case q.edns != nil && q.edns.Version() != 0:
		q.reply.Rcode = dns.RcodeBadVers
		return true
	case question.Qclass != dns.ClassINET, question.Qtype == dns.TypeAXFR, question.Qtype == dns.TypeIXFR:
		q.reply.Rcode = dns.RcodeRefused
		return true
	}
	snap := s.current.Load()
	if !snap.complete && s.covers(strings.ToLower(question.Name)) {
		q.reply.Rcode = dns.RcodeServerFailure
		return true
	}
	return s.follow(snap, q, question)
}

// follow answers from the snapshot, through the CNAMEs of ExternalName Services.
func (s *Server) follow(snap *snapshot, q *query, question dns.Question) bool {
	owner := question.Name
	for range maxChain {
		at := s.find(snap, strings.ToLower(owner))
		if at.outcome == foreign {
			if question.Qtype == dns.TypeANY {
				q.add(owner, anyRecords)
				return true
			}
			q.upstream = owner
			return false
		}
		q.reply.Authoritative = true
		alias, ok := at.node[dns.TypeCNAME]
		if !ok || question.Qtype == dns.TypeCNAME || question.Qtype == dns.TypeANY {
			q.settle(snap, at, owner, question.Qtype)
			return true
		}
		q.add(owner, alias)
		owner = alias.answer[0].(*dns.CNAME).Target
	}
	q.reply.Rcode = dns.RcodeServerFailure // ExternalNames in a circle
	return true
}

// settle ends an answer with what the cluster has, or has not, at a place.
func (q *query) settle(snap *snapshot, at place, owner string, qtype uint16) {
	set, ok := at.node[qtype]
	switch {
	case at.outcome == missing:
		q.reply.Rcode = dns.RcodeNameError
	case qtype == dns.TypeANY:
		set, ok = anyRecords, true
	case qtype == dns.TypeSOA && strings.EqualFold(owner, at.apex):
		set, ok = rrset{answer: []dns.RR{snap.soa(at.apex)}}, true
	}
	if !ok {
		q.reply.Ns = []dns.RR{snap.soa(at.apex)}
		return
	}
	q.add(owner, set)
}

// anyRecords answer ANY questions with as little as RFC 8482 section 4.2 allows.
var anyRecords = rrset{answer: []dns.RR{
	&dns.HINFO{Hdr: header("", dns.TypeHINFO), Cpu: "RFC8482"},
}}

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
func (s *snapshot) soa(apex string) dns.RR {
	return &dns.SOA{
		Hdr: header(apex, dns.TypeSOA), Ns: nameServer(apex), Mbox: "hostmaster." + apex,
		Serial: s.serial, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl,
	}
}

// finish asks upstream for what is still open and returns the packed reply.
func (s *Server) finish(ctx context.Context, q *query) []byte {
	up, err := s.forward.ask(ctx, q)
	if err != nil {
		s.log.Debug("no answer from upstream", "name", q.upstream, "err", err)
		return q.failure()
	}
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

// optSize is the length of an OPT record without options.
const optSize = 11

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
