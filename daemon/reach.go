package daemon

import (
	"context"
	"net/netip"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/dns"
	"github.com/kube-lite/kube-lite/netproxy"
	"github.com/kube-lite/kube-lite/reach"
)

// dnsPort is that of the Service kube-dns, whatever port the server has itself.
const dnsPort = 53

// newReach makes the room that looks at the ways to Services.
func (d *daemon) newReach(proxy *netproxy.Proxy) *reach.Room {
	informers, families := d.server.Informers(), d.settings.families()
	opts := reach.Options{
		DNS: netip.AddrPortFrom(apiserver.DNSIP(families[0].services), dnsPort), Domain: clusterDomain, Lookup: dns.Lookup,
		ReadBack: func(ctx context.Context, at netip.AddrPort) (bool, string, error) {
			lead, err := proxy.ReadBack(ctx, at)
			return lead.Leads, lead.Seen, err
		},
	}
	for _, f := range families {
		node := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if f.gateway().Is6() { // [::1] is answered by a process of ours, whether the rules stand or not
			node = f.gateway()
		}
		opts.NodeAddresses = append(opts.NodeAddresses, node)
	}
	return reach.New(informers.Core().V1().Services().Lister(), informers.Discovery().V1().EndpointSlices().Lister(), opts)
}
