package router

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// translateGateways translates the objects of Gateway API; nil while there are none to know of.
func (r *Router) translateGateways() *gatewayTranslation {
	if r.kinds == nil {
		return nil
	}
	objects, known := r.kinds.objects()
	if !known {
		return nil
	}
	t := &gatewayTranslation{
		gatewayObjects: objects, backend: r.backends.get, certificate: r.secrets.get, log: r.log, mirrors: &r.mirrors,
		namespaceLabels: func(name string) labels.Set {
			ns, err := r.watch.namespaces.Get(name)
			if err != nil {
				return nil
			}
			return ns.Labels
		},
	}
	t.translate()
	return t
}

// serveGateways opens the sockets of Gateways, puts them into the table and has their statuses told.
func (r *Router) serveGateways(t *gatewayTranslation, into *table) error {
	if t == nil {
		r.sockets.close()
		r.report.updateGateways(nil, false)
		return nil
	}
	err := r.sockets.update(t.all)
	into.owners = map[netip.Addr]*gateway{}
	for _, g := range t.all {
		into.gateways = append(into.gateways, g.made)
		into.sniffs = into.sniffs || slices.ContainsFunc(g.made.listeners, servesTLS)
		if g.served.own.IsValid() {
			into.owners[g.served.own] = g.made
		}
	}
	classless := !slices.ContainsFunc(t.classes, func(c *gatewayv1.GatewayClass) bool { return c.Name == ClassName })
	r.report.updateGateways(gatewayStatuses(t, *r.ports.Load()), classless)
	return err
}
