package dns

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// evilPackets are what attackers and broken clients send.
func evilPackets() [][]byte {
	query := func(change func(*dns.Msg)) []byte {
		m := newQuestion(echoA)
		m.Id = 0x1234
		change(m)
		packed, err := m.Pack()
		if err != nil {
			panic(err)
		}
		return packed
	}
	good := query(func(*dns.Msg) {})
	withEDNS := query(func(m *dns.Msg) { m.SetEdns0(4096, true) })
	edit := func(packet []byte, at int, with ...byte) []byte {
		return append(append(bytes.Clone(packet[:at]), with...), packet[min(len(packet), at+len(with)):]...)
	}
	return [][]byte{
		{}, {0}, good[:11], good[:12], good[:13], good[:len(good)-1], good, withEDNS,
		append(bytes.Clone(good), 1, 2, 3),                // bytes after the end
		edit(good, 2, 0x81),                               // a reply
		edit(good, 2, 0x29),                               // an update
		edit(good, 4, 0, 0),                               // no question
		edit(good, 4, 0, 2),                               // two
		edit(good, 4, 0xff, 0xff),                         // all the questions there can be
		edit(good, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), // and all the records
		edit(good, 12, 0xc0, 12),                          // a name that points at itself
		edit(good, 12, 0xc0, 0xff),                        // and out of the packet
		edit(good, 12, 0x40),                              // a label of a kind that does not exist
		edit(good, 12, 63),                                // a label that swallows the rest
		edit(good, 13, 0, '.', '\\', 0xff),                // bytes that need escapes
		edit(withEDNS, len(withEDNS)-2, 0xff, 0xff),       // options longer than the packet
		query(func(m *dns.Msg) { m.Question[0].Name = strings.Repeat("a.", 120) + "svc.local." }),
		query(func(m *dns.Msg) { m.Question[0].Name = `x\.echo.default.svc.cluster.local.` }),
		query(func(m *dns.Msg) { m.Question[0].Name = "." }),
		query(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeANY }),
		query(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }),
		query(func(m *dns.Msg) { m.Question[0].Name = "db.data.svc.cluster.local." }),
		query(func(m *dns.Msg) { m.Question[0].Name = "circle.default.svc.cluster.local." }),
		query(func(m *dns.Msg) { m.Question[0] = newQuestion("5.0.244.10.in-addr.arpa. PTR").Question[0] }),
		query(func(m *dns.Msg) {
			m.Question[0] = newQuestion(strings.Repeat("0x", 31) + "0.ip6.arpa. PTR").Question[0]
		}),
		query(func(m *dns.Msg) { m.Question[0] = newQuestion("www.example.com. A").Question[0] }),
		query(func(m *dns.Msg) { m.SetEdns0(0, false).SetEdns0(65535, false) }),
		query(func(m *dns.Msg) { m.SetEdns0(512, false).IsEdns0().SetVersion(200) }),
	}
}

// FuzzPacket sends any bytes through all that a packet meets on its way, over UDP
// and TCP; only the sockets and the nameservers of the host are missing.
func FuzzPacket(f *testing.F) {
	c := startCluster(f, nil, town()...)
	for _, packet := range evilPackets() {
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, tcp := range []bool{false, true} {
			reply, open := c.begin(packet, make([]byte, maxUDPReply), tcp)
			if open != nil && reply == nil {
				c.finish(t.Context(), open, func(packed []byte) { reply = packed })
			}
			checkReply(t, packet, reply, tcp)
		}
	})
}

// checkReply wants a reply that a client can read, for every packet that looks
// like a query.
func checkReply(t *testing.T, packet, reply []byte, tcp bool) {
	t.Helper()
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		if reply != nil {
			t.Fatalf("%x is answered with %x", packet, reply)
		}
		return
	}
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("the reply %x to %x: %v", reply, packet, err)
	}
	if !m.Response || m.Id != binary.BigEndian.Uint16(packet) || m.Opcode != int(packet[2]>>3&0xf) {
		t.Fatalf("the reply does not belong to the query:\n%v", m)
	}
	limit := maxUDPReply
	if m.IsEdns0() == nil {
		limit = dns.MinMsgSize
	}
	if !tcp && len(reply) > limit {
		t.Fatalf("%d bytes for a client that takes %d:\n%v", len(reply), limit, m)
	}
}

// FuzzUpstream takes any bytes for the reply of a nameserver.
func FuzzUpstream(f *testing.F) {
	c := newCluster(f, Options{}, nil)
	for _, packet := range evilPackets() {
		f.Add(packet)
	}
	query, err := newQuestion("www.example.com. A").Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		up := new(dns.Msg)
		if up.Unpack(packet) != nil {
			return // skipped by receive
		}
		for _, tcp := range []bool{false, true} {
			_, open := c.begin(query, nil, tcp)
			open.complete(up)
			checkReply(t, query, open.pack(nil), tcp)
		}
	})
}

// TestMalformedPacketsStallNothing sends the evil ones to the real sockets, and
// then a good one.
func TestMalformedPacketsStallNothing(t *testing.T) {
	c := startCluster(t, nil, town()...)
	for _, packet := range evilPackets() {
		udp, tcp := c.dial("udp"), c.dial("tcp")
		if _, err := udp.Conn.Write(packet); err != nil {
			t.Fatal(err)
		}
		if _, err := tcp.Conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)); err != nil {
			t.Fatal(err)
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		if reply := c.ask(network, echoA); len(reply.Answer) != 1 {
			t.Errorf("no answer over %s after malformed packets:\n%v", network, reply)
		}
	}
}
