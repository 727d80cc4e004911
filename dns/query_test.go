package dns

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/runtime"
)

const echoA = "echo.default.svc.cluster.local. A"

func TestQuestionsThatAreNotAnswered(t *testing.T) {
	c := startCluster(t, nil, town()...)
	question := func(change func(*dns.Msg)) *dns.Msg {
		m := newQuestion(echoA)
		change(m)
		return m
	}
	for _, test := range []struct {
		name  string
		query *dns.Msg
		rcode int
	}{
		{"a status request", question(func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }), dns.RcodeNotImplemented},
		{"a notification", question(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), dns.RcodeNotImplemented},
		{"an update", question(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), dns.RcodeNotImplemented},
		{"the class CHAOS", question(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused},
		{"the class ANY", question(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }), dns.RcodeRefused},
		{"a zone transfer", newQuestion("cluster.local. AXFR"), dns.RcodeRefused},
		{"an incremental zone transfer", newQuestion("cluster.local. IXFR"), dns.RcodeRefused},
		{"two questions", question(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		{"no question", question(func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		{"two OPT records", question(func(m *dns.Msg) { m.SetEdns0(1232, false).SetEdns0(1232, false) }), dns.RcodeFormatError},
		{"a later EDNS", question(func(m *dns.Msg) { m.SetEdns0(1232, false).IsEdns0().SetVersion(1) }), dns.RcodeBadVers},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, network := range []string{"udp", "tcp"} {
				reply := c.exchange(network, test.query)
				if reply.Rcode != test.rcode || len(reply.Answer) != 0 || reply.Opcode != test.query.Opcode {
					t.Errorf("over %s: want %s without records, got\n%v", network, dns.RcodeToString[test.rcode], reply)
				}
			}
		})
	}
}

func TestTheMachineHasNames(t *testing.T) {
	c := startCluster(t, nil)
	for _, name := range []string{"host.docker.internal.", "Host.kube-lite.internal."} {
		reply := c.ask("udp", name+" A")
		if len(reply.Answer) != 1 || reply.Answer[0].(*dns.A).A.String() != "127.0.0.1" || !reply.Authoritative {
			t.Errorf("%s is the server's address, got\n%v", name, reply)
		}
		if reply := c.ask("udp", name+" AAAA"); reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 0 || len(reply.Ns) != 1 {
			t.Errorf("%s has no other address, got\n%v", name, reply)
		}
	}
}

func TestAnyIsAnsweredWithLittle(t *testing.T) {
	c := startCluster(t, nil, town()...)
	for name, rcode := range map[string]int{
		"db.data.svc.cluster.local.":           dns.RcodeSuccess,
		"out.default.svc.cluster.local.":       dns.RcodeSuccess,
		"nobody.default.svc.cluster.local.":    dns.RcodeNameError,
		"example.com.":                         dns.RcodeSuccess, // not forwarded
		"5.0.244.10.in-addr.arpa.":             dns.RcodeSuccess,
		"nobody.nowhere.svc.cluster.local.":    dns.RcodeNameError,
		"_tcp.echo.default.svc.cluster.local.": dns.RcodeSuccess,
	} {
		reply := c.ask("udp", name+" ANY")
		if reply.Rcode != rcode {
			t.Errorf("%s ANY: want %s, got\n%v", name, dns.RcodeToString[rcode], reply)
		}
		if rcode != dns.RcodeSuccess {
			continue
		}
		if len(reply.Answer) != 1 || reply.Answer[0].Header().Rrtype != dns.TypeHINFO || reply.Answer[0].Header().Name != name {
			t.Errorf("%s ANY: want one HINFO record (RFC 8482), got\n%v", name, reply)
		}
	}
}

// crowd is a headless Service that fits no small packet.
func crowd(endpoints int) []runtime.Object {
	slice := newSlice("default/crowd", "a")
	for i := range endpoints {
		slice.Endpoints = append(slice.Endpoints, ready(fmt.Sprintf("10.244.%d.%d", i/250, i%250+1)))
	}
	return []runtime.Object{newClusterIP("default/crowd", "None"), slice}
}

func TestRepliesFitWhatTheClientTakes(t *testing.T) {
	c := startCluster(t, nil, crowd(300)...)
	for _, test := range []struct {
		name     string
		network  string
		edns     uint16 // 0: none
		limit    int
		complete bool
	}{
		{"UDP without EDNS takes 512 bytes", "udp", 0, 512, false},
		{"a size below 512 means 512", "udp", 100, 512, false},
		{"UDP takes what EDNS says", "udp", 1232, 1232, false},
		{"UDP never gets more than our bound", "udp", 65535, maxUDPReply, false},
		{"TCP takes all", "tcp", 0, 65535, true},
		{"TCP takes all, whatever EDNS says", "tcp", 512, 65535, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newQuestion("crowd.default.svc.cluster.local. A")
			if test.edns > 0 {
				m.SetEdns0(test.edns, true)
			}
			packed := c.exchangeRaw(t, test.network, m)
			reply := new(dns.Msg)
			if err := reply.Unpack(packed); err != nil {
				t.Fatal(err)
			}
			if len(packed) > test.limit || reply.Truncated == test.complete || (len(reply.Answer) == 300) != test.complete {
				t.Errorf("%d bytes, TC %v, %d records", len(packed), reply.Truncated, len(reply.Answer))
			}
			if !test.complete && len(packed) < test.limit-64 {
				t.Errorf("%d of %d bytes used: more records would have fitted", len(packed), test.limit)
			}
			opt := reply.IsEdns0()
			if (opt != nil) != (test.edns > 0) {
				t.Fatalf("EDNS of the query %v, of the reply %v", test.edns > 0, opt != nil)
			}
			if opt != nil && (opt.UDPSize() != ednsSize || !opt.Do()) {
				t.Errorf("OPT of the reply is %v", opt)
			}
		})
	}
}

// exchangeRaw returns the reply as it came.
func (c *cluster) exchangeRaw(t *testing.T, network string, m *dns.Msg) []byte {
	t.Helper()
	conn := c.dial(network)
	conn.UDPSize = 65535
	if err := conn.WriteMsg(m); err != nil {
		t.Fatal(err)
	}
	packed, err := conn.ReadMsgHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// dial connects until the test ends.
func (c *cluster) dial(network string) *dns.Conn {
	c.t.Helper()
	conn, err := net.Dial(network, c.Addr().String())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &dns.Conn{Conn: conn}
}

func TestAdditionalRecordsGoBeforeAnswersDo(t *testing.T) {
	objects := crowd(7)
	c := startCluster(t, nil, objects...)
	reply := c.ask("udp", "_http._tcp.crowd.default.svc.cluster.local. SRV")
	if len(reply.Answer) != 7 || len(reply.Extra) != 0 || reply.Truncated {
		t.Errorf("want seven records, nothing else and no TC in 512 bytes, got\n%v", reply)
	}
}

func TestBeforeTheInformersSyncTheClusterIsUnknown(t *testing.T) {
	c := newCluster(t, Options{}, nil, town()...)
	c.watch.dirty.take()
	var packed []byte
	for _, question := range []string{echoA, "echo.default.svc.local. A", "nobody.default.svc.cluster.local. A"} {
		query, err := newQuestion(question).Pack()
		if err != nil {
			t.Fatal(err)
		}
		packed, _ = c.begin(query, nil, false)
		reply := new(dns.Msg)
		if err := reply.Unpack(packed); err != nil || reply.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: want SERVFAIL, got %v %v", question, reply, err)
		}
	}
}

func TestPacketsThatDeserveNoReply(t *testing.T) {
	c := newCluster(t, Options{}, nil)
	reply, err := new(dns.Msg).SetReply(newQuestion(echoA)).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for name, packet := range map[string][]byte{"nothing": {}, "half a header": reply[:headerSize-1], "a reply": reply} {
		if got, open := c.begin(packet, nil, false); got != nil || open != nil {
			t.Errorf("%s is answered with %x", name, got)
		}
	}
}

func TestNewSaysWhyItCannotListen(t *testing.T) {
	first := newCluster(t, Options{}, nil)
	taken := first.Addr().String()
	for addr, want := range map[string]string{
		taken:                "another DNS server listens there",
		"198.51.100.7:53533": "no address of this machine",
		"0.0.0.0:0":          "name one address",
		"gateway:53":         `"gateway:53"`,
	} {
		sockets, err := listen(addr)
		if err == nil {
			sockets.close()
			t.Fatalf("listening on %s works", addr)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error about %s is %q, without %q", addr, err, want)
		}
	}
}

func TestCloseFreesTheAddress(t *testing.T) {
	c := newCluster(t, Options{}, nil)
	c.Close()
	c.Close()
	sockets, err := listen(c.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	sockets.close()
}
