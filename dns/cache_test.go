package dns

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// remembering runs a cluster whose upstream is handle, and returns what moves its cache's clock on. An upstream that is
// patient never gives up on a question.
func remembering(t *testing.T, handle dns.HandlerFunc, patient bool) (c *cluster, upstream *stub, pass func(time.Duration)) {
	t.Helper()
	c, stubs := outside(t, handle)
	var passed atomic.Int64
	c.cache.now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	if patient {
		c.staleAfter, c.forward.each, c.forward.all = time.Millisecond, time.Hour, time.Hour
	}
	c.run()
	return c, stubs[0], func(d time.Duration) { passed.Add(int64(d)) }
}

func (s *stub) wantAsked(t *testing.T, times int64) {
	t.Helper()
	if got := s.asked.Load(); got != times {
		t.Errorf("upstream was asked %d times, want %d", got, times)
	}
}

// denial answers that there is no such name, for a minute if soa.
func denial(soa bool) dns.HandlerFunc {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetRcode(m, dns.RcodeNameError)
		if soa {
			h := header("com.", dns.TypeSOA)
			h.Ttl = 3600
			reply.Ns = []dns.RR{&dns.SOA{Hdr: h, Ns: "a.com.", Mbox: "b.com.", Minttl: 60}}
		}
		w.WriteMsg(reply)
	}
}

func TestAnswersOfUpstreamAreKeptWhileTheyAreTrue(t *testing.T) {
	c, upstream, pass := remembering(t, hosts("192.0.2.80"), false)
	for range 3 {
		for _, network := range []string{"udp", "tcp"} {
			if got := recordsOf(c.ask(network, "Example.com. A")); got != "192.0.2.80" {
				t.Errorf("over %s: %s", network, got)
			}
		}
	}
	upstream.wantAsked(t, 1)
	pass(100 * time.Second)
	if ttl := c.ask("udp", "example.com. A").Answer[0].Header().Ttl; ttl > 200 || ttl < 100 {
		t.Errorf("of 300 seconds %d are left after 100", ttl)
	}
	upstream.wantAsked(t, 1)
	if reply := c.exchange("udp", newQuestion("example.com. A").SetEdns0(1232, true)); reply.IsEdns0() == nil {
		t.Errorf("a client that wants signatures gets\n%v", reply)
	}
	upstream.wantAsked(t, 2) // which it was not asked for before
	pass(200 * time.Second)
	c.ask("udp", "example.com. A")
	upstream.wantAsked(t, 3)
}

func TestDenialsAreKeptAsLongAsTheZoneSays(t *testing.T) {
	c, upstream, pass := remembering(t, denial(true), false)
	for range 2 {
		if reply := c.ask("udp", "nobody.com. A"); reply.Rcode != dns.RcodeNameError || len(reply.Ns) != 1 {
			t.Errorf("want NXDOMAIN with the SOA, got\n%v", reply)
		}
	}
	upstream.wantAsked(t, 1)
	pass(61 * time.Second)
	c.ask("udp", "nobody.com. A")
	upstream.wantAsked(t, 2)

	c, upstream, _ = remembering(t, denial(false), false)
	c.ask("udp", "nobody.com. A")
	c.ask("udp", "nobody.com. A")
	upstream.wantAsked(t, 2)
}

func TestFailuresOfUpstreamAreNotKept(t *testing.T) {
	for name, handle := range map[string]dns.HandlerFunc{"refusals": fails(dns.RcodeRefused), "what was cut": cutOnUDP} {
		c, upstream, _ := remembering(t, handle, false)
		c.ask("udp", "example.com. A")
		before := upstream.asked.Load()
		c.ask("udp", "example.com. A")
		if upstream.asked.Load() == before {
			t.Errorf("%s are kept", name)
		}
	}
}

func TestWhatWasTrueIsGivenWhileUpstreamFails(t *testing.T) {
	var broken atomic.Bool
	c, _, pass := remembering(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if broken.Load() {
			fails(dns.RcodeServerFailure)(w, m)
			return
		}
		hosts("192.0.2.80")(w, m)
	}, false)
	c.ask("udp", "example.com. A")
	broken.Store(true)
	pass(time.Hour)
	for _, network := range []string{"udp", "tcp"} {
		reply := c.ask(network, "example.com. A")
		if recordsOf(reply) != "192.0.2.80" || reply.Answer[0].Header().Ttl != staleTTL {
			t.Errorf("over %s an hour later:\n%v", network, reply)
		}
	}
	if got := recordsOf(c.ask("udp", "other.com. A")); got != "SERVFAIL" {
		t.Errorf("a name that was never known: %s", got)
	}
	pass(staleLimit)
	if got := recordsOf(c.ask("udp", "example.com. A")); got != "SERVFAIL" {
		t.Errorf("a day later: %s", got)
	}
	broken.Store(false)
	if got := recordsOf(c.ask("udp", "example.com. A")); got != "192.0.2.80" {
		t.Errorf("when upstream is back: %s", got)
	}
}

func TestWhatWasTrueIsGivenWhileUpstreamIsSlow(t *testing.T) {
	release := make(chan struct{})
	var slow atomic.Bool
	c, _, pass := remembering(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if slow.Load() {
			<-release
			hosts("192.0.2.81")(w, m)
			return
		}
		hosts("192.0.2.80")(w, m)
	}, true)
	c.ask("udp", "example.com. A")
	slow.Store(true)
	pass(time.Hour)
	if got := recordsOf(c.ask("udp", "example.com. A")); got != "192.0.2.80" {
		t.Errorf("while upstream is slow: %s", got)
	}
	close(release)
	c.eventually("its answer is taken over when it comes", func() bool { return recordsOf(c.ask("udp", "example.com. A")) == "192.0.2.81" })
}

func TestAnAnswerThatIsInUseIsRenewedBeforeItEnds(t *testing.T) {
	c, upstream, pass := remembering(t, hosts("192.0.2.80"), false)
	c.ask("udp", "example.com. A")
	pass(280 * time.Second)
	for range 3 {
		c.ask("udp", "example.com. A")
	}
	c.eventually("it is fetched anew", func() bool { return c.ask("udp", "example.com. A").Answer[0].Header().Ttl > 200 })
	upstream.wantAsked(t, 2)
}

func TestTheSameQuestionsAtOnceAreOneToUpstream(t *testing.T) {
	release := make(chan struct{})
	c, upstream, _ := remembering(t, func(w dns.ResponseWriter, m *dns.Msg) {
		<-release
		hosts("192.0.2.80")(w, m)
	}, true)
	const clients = 5
	var conns []*dns.Conn
	for range clients {
		conn := c.dial("udp")
		if err := conn.WriteMsg(newQuestion("example.com. A")); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	c.eventually("all wait", func() bool { return len(c.forward.slots) == clients })
	close(release)
	var all sync.WaitGroup
	for _, conn := range conns {
		all.Go(func() {
			if reply, err := conn.ReadMsg(); err != nil || recordsOf(reply) != "192.0.2.80" {
				t.Errorf("got %v, %v", reply, err)
			}
		})
	}
	all.Wait()
	upstream.wantAsked(t, 1)
}

func TestLifetimeOfReplies(t *testing.T) {
	a := func(ttl uint32) dns.RR {
		return &dns.A{Hdr: dns.RR_Header{Name: "a.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: net.IPv4(192, 0, 2, 1)}
	}
	for name, c := range map[string]struct {
		change func(*dns.Msg)
		want   time.Duration
	}{
		"the shortest of its records":   {func(m *dns.Msg) { m.Answer = []dns.RR{a(60), a(30)} }, 30 * time.Second},
		"those of the authority count":  {func(m *dns.Msg) { m.Answer, m.Ns = []dns.RR{a(60)}, []dns.RR{a(10)} }, 10 * time.Second},
		"nothing that may not be kept":  {func(m *dns.Msg) { m.Answer = []dns.RR{a(0)} }, 0},
		"nothing for long":              {func(m *dns.Msg) { m.Answer = []dns.RR{a(86400 * 7)} }, maxAnswerTTL},
		"no answer, and nobody says so": {func(*dns.Msg) {}, 0},
		"a failure":                     {func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeRefused, []dns.RR{a(60)} }, 0},
	} {
		m := new(dns.Msg)
		c.change(m)
		if got := lifetime(m); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
