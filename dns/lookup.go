package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// lookupTimeout is how long a Lookup waits for each of its answers. A server on this machine answers within a millisecond.
const lookupTimeout = time.Second

// Lookup asks a server for the addresses of a name, which has its final dot, as the resolver of a Pod does: over UDP, and over TCP what
// does not fit there. The answer is sorted; a name that does not exist has none. It needs no Server: it is for those who check one.
func Lookup(ctx context.Context, server netip.AddrPort, name string) ([]netip.Addr, error) {
	found := []netip.Addr{}
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		reply, err := exchange(ctx, server, new(dns.Msg).SetQuestion(name, kind))
		if err != nil {
			return nil, fmt.Errorf("asking %s for %s: %w", server, name, err)
		}
		if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
			return nil, fmt.Errorf("asking %s for %s: it answers %s", server, name, dns.RcodeToString[reply.Rcode])
		}
		for _, rr := range reply.Answer {
			if ip, ok := address(rr); ok {
				found = append(found, ip)
			}
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found), nil
}

func exchange(ctx context.Context, server netip.AddrPort, ask *dns.Msg) (reply *dns.Msg, err error) {
	for _, network := range []string{"udp", "tcp"} {
		client := dns.Client{Net: network, Timeout: lookupTimeout}
		if reply, _, err = client.ExchangeContext(ctx, ask, server.String()); err != nil || !reply.Truncated {
			break
		}
	}
	return reply, err
}
