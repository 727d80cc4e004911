package dns

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// held answers when it is let go.
func held(release <-chan struct{}, handle dns.HandlerFunc) dns.HandlerFunc {
	return func(w dns.ResponseWriter, m *dns.Msg) {
		if m.Question[0].Name != "." {
			<-release
		}
		handle(w, m)
	}
}

// racing runs a cluster that asks the next nameserver soon and never gives up on one.
func racing(t *testing.T, handlers ...dns.HandlerFunc) (*cluster, []*stub) {
	t.Helper()
	c, stubs := outside(t, handlers...)
	c.forward.patience, c.forward.each, c.forward.all = time.Millisecond, time.Hour, time.Hour
	c.run()
	return c, stubs
}

func TestTheNextNameserverIsAskedBesideOneThatIsSlow(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	c, stubs := racing(t, held(release, hosts("192.0.2.80")), hosts("192.0.2.81"))
	if got := recordsOf(c.ask("udp", "example.com. A")); got != "192.0.2.81" {
		t.Errorf("got %s", got)
	}
	stubs[0].wantAsked(t, 1)
	c.eventually("the slow one is found to be well", func() bool { return c.upstream(0).condition() == up })
}

func TestADenialCountsOnlyIfThoseBeforeKnowNothingElse(t *testing.T) {
	release := make(chan struct{})
	c, stubs := racing(t, held(release, hosts("192.0.2.80")), denial(true))
	answered := make(chan string, 1)
	go func() { answered <- recordsOf(c.ask("udp", "intranet.example.com. A")) }()
	c.eventually("the other has denied it", func() bool { return stubs[1].asked.Load() == 1 })
	close(release)
	if got := <-answered; got != "192.0.2.80" {
		t.Errorf("a name of the first nameserver's network: %s", got)
	}
}

func TestADenialOfTheFirstNameserverIsTakenAtOnce(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	c, _ := racing(t, denial(true), held(release, hosts("192.0.2.81")))
	if got := recordsOf(c.ask("udp", "nobody.example.com. A")); got != "NXDOMAIN" {
		t.Errorf("got %s", got)
	}
}
