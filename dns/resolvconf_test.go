package dns

import (
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// Once this server is in the machine's resolv.conf, a local forwarder that reads the same file may ask it back.
func TestAForwarderThatAsksUsBackIsNoLoop(t *testing.T) {
	var back atomic.Value // the server's address; no synchronisation of Go's leads from it to the handler
	c, stubs := outside(t, func(w dns.ResponseWriter, m *dns.Msg) {
		client := dns.Client{Timeout: forwardTimeout}
		if reply, _, err := client.Exchange(m, back.Load().(string)); err == nil {
			w.WriteMsg(reply)
		}
	}, hosts("192.0.2.81"))
	back.Store(c.Addr().String())
	c.run()
	if got := recordsOf(c.ask("udp", "example.com. A")); got != "192.0.2.81" {
		t.Errorf("got %s, want what the next nameserver says", got)
	}
	stubs[0].wantAsked(t, 1)
	stubs[1].wantAsked(t, 1)
}
