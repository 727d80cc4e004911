package dns

import (
	"encoding/binary"
	"strings"

	"github.com/miekg/dns"
)

const (
	headerSize = 12 // bytes, RFC 1035 section 4.1.1

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
// has to be asked: hand it to finish, or, if there is a reply, to fetch, so that the next one finds an answer too.
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
	up, renew := s.cache.get(s.cacheKey(q))
	if up == nil {
		return nil, q
	}
	q.complete(up)
	if reply = q.pack(buf); renew {
		return reply, q
	}
	return reply, nil
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
	return s.follow(snap, q)
}

// follow answers from the snapshot, through the CNAMEs of ExternalName Services.
func (s *Server) follow(snap *snapshot, q *query) bool {
	question := q.ask.Question[0]
	owner := question.Name
	for range maxChain {
		at := s.find(snap, strings.ToLower(owner))
		if at.outcome == foreign {
			if question.Qtype == dns.TypeANY {
				q.add(owner, anyRecords())
				return true
			}
			q.upstream = owner
			return false
		}
		q.reply.Authoritative = true
		alias, ok := at.node[dns.TypeCNAME]
		if !ok || question.Qtype == dns.TypeCNAME || question.Qtype == dns.TypeANY {
			s.settle(snap, q, at, owner)
			return true
		}
		q.add(owner, alias)
		owner = alias.answer[0].(*dns.CNAME).Target
	}
	q.reply.Rcode = dns.RcodeServerFailure // ExternalNames in a circle
	return true
}
