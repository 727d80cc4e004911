package dns

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// quickly shortens all times for nameservers that do not answer.
func (c *cluster) quickly() {
	c.forward.each, c.forward.brief = 200*time.Millisecond, 10*time.Millisecond
	c.forward.prober.interval = 10 * time.Millisecond
}

// upstream is the nameserver of the resolv.conf by its place in it.
func (c *cluster) upstream(i int) *upstream { return c.forward.conf.upstreams(time.Now())[i] }

func TestADeadNameserverCostsTimeOnce(t *testing.T) {
	c, stubs := outside(t, silent)
	c.quickly()
	c.run()
	c.ask("udp", "example.com. A")
	c.eventually("it is known to be down", func() bool { return c.upstream(0).condition() == down })
	before, began := stubs[0].asked.Load(), time.Now()
	const questions = 10
	for range questions {
		if reply := c.ask("udp", "example.com. A"); reply.Rcode != dns.RcodeServerFailure {
			t.Errorf("want SERVFAIL, got\n%v", reply)
		}
	}
	if asked := stubs[0].asked.Load() - before; asked != questions {
		t.Errorf("it was asked %d times for %d questions: each had a second round", asked, questions)
	}
	if took := time.Since(began); took > questions*c.forward.each {
		t.Errorf("%d questions took %s", questions, took)
	}
}

func TestADeadNameserverIsProbedUntilItAnswers(t *testing.T) {
	var alive atomic.Bool
	c, stubs := outside(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if alive.Load() {
			hosts("192.0.2.80")(w, m)
		}
	}, hosts("192.0.2.81"))
	c.quickly()
	c.run()
	c.ask("udp", "example.com. A")
	c.eventually("it is known to be down", func() bool { return c.upstream(0).condition() == down })
	before := stubs[0].asked.Load()
	c.ask("udp", "another.example.com. A")
	if stubs[0].asked.Load() != before {
		t.Error("a question went to a nameserver that is down, beside one that is up")
	}
	alive.Store(true)
	c.eventually("it is known to answer, though no question went there", func() bool { return c.upstream(0).condition() == up })
	if reply := c.ask("udp", "more.example.com. A"); len(reply.Answer) != 1 || stubs[0].asked.Load() != before+1 {
		t.Errorf("the first nameserver is not the first to be asked:\n%v", reply)
	}
}

func TestNobodyIsProbedForNobody(t *testing.T) {
	c, _ := outside(t, silent)
	c.quickly()
	c.forward.prober.while = time.Nanosecond
	c.run()
	c.ask("udp", "example.com. A")
	c.eventually("the probes end", func() bool { return !c.upstream(0).probed.Load() })
	if got := c.upstream(0).condition(); got != suspect {
		t.Errorf("the nameserver is %d, want suspect: nobody knows any more", got)
	}
}

func TestASlowNameHoldsNoOtherBack(t *testing.T) {
	c, _ := outside(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if m.Question[0].Name != "slow.example." {
			hosts("192.0.2.80")(w, m)
		}
	})
	c.quickly()
	c.forward.brief = time.Nanosecond // a nameserver that is down never answers in time
	c.run()
	if reply := c.ask("udp", "slow.example. A"); reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("want SERVFAIL, got\n%v", reply)
	}
	if reply := c.ask("udp", "fast.example. A"); len(reply.Answer) != 1 {
		t.Errorf("another name is not found:\n%v", reply)
	}
	c.eventually("the nameserver is known to be well", func() bool { return c.upstream(0).condition() == up })
}

func TestOfNameserversThatAreDownTheFirstToAnswerDoes(t *testing.T) {
	var alive atomic.Bool
	c, _ := outside(t, silent, func(w dns.ResponseWriter, m *dns.Msg) {
		if alive.Load() && m.Question[0].Name != "." { // no probe finds out
			hosts("192.0.2.81")(w, m)
		}
	})
	c.quickly()
	c.forward.brief = patience
	c.run()
	if err := c.dial("udp").WriteMsg(newQuestion("example.com. A")); err != nil {
		t.Fatal(err)
	}
	c.eventually("both are down", func() bool { return c.upstream(0).condition() == down && c.upstream(1).condition() == down })
	alive.Store(true)
	if reply := c.ask("udp", "another.example.com. A"); len(reply.Answer) != 1 || c.upstream(1).condition() != up {
		t.Errorf("want the answer of the one that is back:\n%v", reply)
	}
}
