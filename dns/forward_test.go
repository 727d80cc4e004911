package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestOtherNamesGoUpstream(t *testing.T) {
	c, _ := outside(t, hosts("192.0.2.80"))
	c.run()
	for _, name := range []string{"www.Example.com.", "local.", "svc.example.", "77.0.244.10.in-addr.arpa.", "10.in-addr.arpa."} {
		for _, network := range []string{"udp", "tcp"} {
			reply := c.ask(network, name+" A")
			want := []string{name + " 300 IN A 192.0.2.80"}
			if got := lines(reply.Answer); !slices.Equal(got, want) {
				t.Errorf("%s over %s: got %q, want %q", name, network, got, want)
			}
			if reply.Authoritative || !reply.RecursionAvailable || reply.Question[0].Name != name {
				t.Errorf("want the question, RA, and no AA for what is not ours:\n%v", reply)
			}
		}
	}
}

func TestNegativeAnswersOfUpstreamPass(t *testing.T) {
	c, _ := outside(t, func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetRcode(m, dns.RcodeNameError)
		reply.Ns = []dns.RR{&dns.SOA{Hdr: header("com.", dns.TypeSOA), Ns: "a.com.", Mbox: "b.com.", Minttl: 60}}
		w.WriteMsg(reply)
	})
	c.run()
	reply := c.ask("udp", "nobody.example.com. A")
	if reply.Rcode != dns.RcodeNameError || len(reply.Ns) != 1 {
		t.Errorf("want NXDOMAIN and the SOA of com, got\n%v", reply)
	}
}

func TestUpstreamKnowsWhatTheClientCanTake(t *testing.T) {
	c, _ := outside(t, func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		if opt := m.IsEdns0(); opt != nil {
			reply.AuthenticatedData = opt.Do()
			reply.SetEdns0(4000, opt.Do())
		}
		reply.Rcode = map[bool]int{true: dns.RcodeSuccess, false: dns.RcodeNotAuth}[m.CheckingDisabled && m.IsEdns0() != nil]
		w.WriteMsg(reply)
	})
	c.run()
	m := newQuestion("example.com. A")
	m.CheckingDisabled = true
	reply := c.exchange("udp", m.SetEdns0(2000, true))
	if reply.Rcode != dns.RcodeSuccess || !reply.AuthenticatedData || len(reply.Extra) != 1 || reply.IsEdns0().UDPSize() != ednsSize {
		t.Errorf("want CD and DO to reach upstream, AD to come back, and an OPT of our own:\n%v", reply)
	}
	if reply := c.ask("udp", "example.com. A"); reply.Rcode != dns.RcodeNotAuth || len(reply.Extra) != 0 {
		t.Errorf("want no EDNS without the client's:\n%v", reply)
	}
}

func TestAdditionalRecordsPassWithoutUpstreamsOPT(t *testing.T) {
	c, _ := outside(t, func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		glue := &dns.A{Hdr: header("ns.example.com.", dns.TypeA), A: net.IP{192, 0, 2, 53}}
		reply.Extra = []dns.RR{glue}
		w.WriteMsg(reply.SetEdns0(4000, false))
	})
	c.run()
	reply := c.ask("udp", "example.com. A")
	if got, want := lines(reply.Extra), []string{"ns.example.com. 5 IN A 192.0.2.53"}; !slices.Equal(got, want) || len(reply.Extra) != 1 {
		t.Errorf("got %v, want %q", reply.Extra, want)
	}
}

func TestTheNextNameserverIsAskedWhenOneFails(t *testing.T) {
	for name, first := range map[string]dns.HandlerFunc{
		"it does not answer":       silent,
		"it answers garbage":       garbled,
		"it says SERVFAIL":         fails(dns.RcodeServerFailure),
		"it says REFUSED":          fails(dns.RcodeRefused),
		"it says NOTIMP":           fails(dns.RcodeNotImplemented),
		"it answers what it likes": func(w dns.ResponseWriter, m *dns.Msg) { w.Write([]byte{1, 2, 3}) },
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := outside(t, first, hosts("192.0.2.81"))
			c.forward.each = 200 * time.Millisecond
			c.run()
			reply := c.ask("udp", "example.com. A")
			if len(reply.Answer) != 1 {
				t.Errorf("the second nameserver's answer did not come:\n%v", reply)
			}
		})
	}
}

func TestADeadNameserverIsAskedLast(t *testing.T) {
	c, stubs := outside(t, silent, hosts("192.0.2.81"))
	c.forward.each = 200 * time.Millisecond
	c.run()
	for i := range 5 {
		c.ask("udp", fmt.Sprintf("%d.example.com. A", i))
	}
	if dead, alive := stubs[0].asked.Load(), stubs[1].asked.Load(); dead != 1 || alive != 5 {
		t.Errorf("the dead nameserver was asked %d times, the other %d; want 1 and 5", dead, alive)
	}
}

func TestALostPacketIsSentAgain(t *testing.T) {
	var lost atomic.Bool
	c, _ := outside(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if lost.Swap(true) {
			hosts("192.0.2.80")(w, m)
		}
	})
	c.forward.each = 200 * time.Millisecond
	c.run()
	if reply := c.ask("udp", "example.com. A"); len(reply.Answer) != 1 {
		t.Errorf("no answer after one lost packet:\n%v", reply)
	}
}

func TestAnErrorOfAllNameserversPasses(t *testing.T) {
	c, _ := outside(t, fails(dns.RcodeRefused), silent)
	c.forward.each = 200 * time.Millisecond
	c.run()
	if reply := c.ask("udp", "example.com. A"); reply.Rcode != dns.RcodeRefused {
		t.Errorf("want the REFUSED of the one that answered, got\n%v", reply)
	}
}

func TestCutAnswersOfUpstream(t *testing.T) {
	c, stubs := outside(t, cutOnUDP)
	c.run()
	if reply := c.ask("udp", "big.example. A"); !reply.Truncated || stubs[0].asked.Load() != 1 {
		t.Errorf("a UDP client wants TC after one question upstream, got %d and\n%v", stubs[0].asked.Load(), reply)
	}
	if reply := c.ask("tcp", "big.example. A"); reply.Truncated || len(reply.Answer) != 1 {
		t.Errorf("a TCP client wants all of it, got\n%v", reply)
	}
}

func TestForgedAnswersAreSkipped(t *testing.T) {
	c, _ := outside(t, spoofed)
	c.run()
	want := []string{"www.example.com. 300 IN A 192.0.2.80"}
	if got := lines(c.ask("udp", "www.example.com. A").Answer); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnExternalNameIsFollowedUpstream(t *testing.T) {
	c, _ := outside(t, hosts("192.0.2.80"))
	c.run()
	if _, err := c.client.CoreV1().Services("default").Create(t.Context(), newExternalName("default/web", "www.Example.com"), createOptions); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"web.default.svc.cluster.local. 5 IN CNAME www.Example.com.",
		"www.Example.com. 300 IN A 192.0.2.80",
	}
	var reply *dns.Msg
	c.eventually("the ExternalName is known", func() bool {
		reply = c.ask("udp", "web.default.svc.cluster.local. A")
		return reply.Rcode == dns.RcodeSuccess
	})
	var got []string
	for _, rr := range reply.Answer { // in their order, which matters to some resolvers
		got = append(got, lines([]dns.RR{rr})...)
	}
	if !slices.Equal(got, want) || !reply.Authoritative {
		t.Errorf("got %q, AA %v, want %q", got, reply.Authoritative, want)
	}
}

func TestWithoutNameserverOtherNamesFailAtOnce(t *testing.T) {
	c := newCluster(t, Options{}, nil)
	c.forward.each, c.forward.all = time.Hour, time.Hour // patience is shorter
	c.run()
	for _, network := range []string{"udp", "tcp"} {
		if reply := c.ask(network, "example.com. A"); reply.Rcode != dns.RcodeServerFailure {
			t.Errorf("want SERVFAIL, got\n%v", reply)
		}
	}
}

func TestWeAreNotOurOwnUpstream(t *testing.T) {
	c := newCluster(t, Options{}, []string{"127.0.0.1", "10.96.0.10"}, newClusterIP("kube-system/kube-dns", "10.96.0.10"))
	c.forward.conf.port = c.Addr().Port()
	c.forward.each, c.forward.all = time.Hour, time.Hour
	c.run()
	if reply := c.ask("udp", "example.com. A"); reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("want SERVFAIL, got\n%v", reply)
	}
	for addr, want := range map[string]bool{"127.0.0.1": true, "10.96.0.10": true, "127.0.0.2": false, "10.96.0.11": false} {
		if got := c.isOurs(netip.AddrPortFrom(netip.MustParseAddr(addr), c.Addr().Port())); got != want {
			t.Errorf("isOurs(%s) = %v", addr, got)
		}
	}
}

func TestTheHostsResolvConfIsFollowed(t *testing.T) {
	c, _ := outside(t, hosts("192.0.2.1"), hosts("192.0.2.2"))
	c.writeResolvConf("127.0.0.2")
	c.run()
	answer := func() string {
		reply := c.ask("udp", "example.com. A")
		if len(reply.Answer) == 0 {
			return dns.RcodeToString[reply.Rcode]
		}
		return reply.Answer[0].(*dns.A).A.String()
	}
	if got := answer(); got != "192.0.2.1" {
		t.Fatalf("the first nameserver is not asked: %s", got)
	}
	c.writeResolvConf("127.0.0.3")
	c.eventually("the second is asked after the file changed", func() bool { return answer() == "192.0.2.2" })
	c.writeResolvConf()
	c.eventually("none is asked when none is named", func() bool { return answer() == "SERVFAIL" })
	c.writeResolvConf("127.0.0.2")
	c.eventually("the first is asked again", func() bool { return answer() == "192.0.2.1" })
}

func TestWaitingForUpstreamStallsNothing(t *testing.T) {
	c, stubs := outside(t, silent)
	c.forward.each, c.forward.all = time.Hour, time.Hour
	c.forward.slots = make(chan struct{}, 2)
	c.run()
	waiting := c.dial("udp")
	for i := range cap(c.forward.slots) {
		if err := waiting.WriteMsg(newQuestion(fmt.Sprintf("slow%d.example. A", i))); err != nil {
			t.Fatal(err)
		}
	}
	c.eventually("both places are taken", func() bool { return stubs[0].asked.Load() == 2 })
	for _, network := range []string{"udp", "tcp"} {
		if reply := c.ask(network, "more.example. A"); reply.Rcode != dns.RcodeServerFailure {
			t.Errorf("want SERVFAIL when too many wait, got\n%v", reply)
		}
		if reply := c.ask(network, echoA); len(reply.Answer) != 1 {
			t.Errorf("a Service is not found while others wait:\n%v", reply)
		}
	}
	// That Run ends while both wait is checked by the cluster's cleanup.
}

func TestTheEndDoesNotWaitForUpstream(t *testing.T) {
	c, stubs := outside(t, silent)
	c.forward.each, c.forward.all, c.tcpIdle = time.Hour, time.Hour, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	for _, network := range []string{"udp", "tcp"} {
		if err := c.dial(network).WriteMsg(newQuestion("slow.example. A")); err != nil {
			t.Fatal(err)
		}
	}
	c.eventually("upstream has both questions", func() bool { return stubs[0].asked.Load() == 2 })
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Error("Run still waits for upstream")
	}
}

func TestParseResolvConf(t *testing.T) {
	text := "# comment\nnameserver 192.0.2.1\nsearch example.com\nnameserver fe80::1%eth0\nnameserver nonsense\nnameserver ::ffff:192.0.2.2\noptions timeout:1\n"
	var got []string
	for _, up := range parseResolvConf([]byte(text), 53) {
		got = append(got, up.addr.String())
	}
	if want := []string{"192.0.2.1:53", "[fe80::1%eth0]:53", "192.0.2.2:53"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
