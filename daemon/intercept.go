package daemon

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/intercept"
	"github.com/kube-lite/kube-lite/netproxy"
	"github.com/kube-lite/kube-lite/reach"
	"github.com/kube-lite/kube-lite/runtime"
)

// newIntercepts makes the room that leads Services to processes of this machine.
func (d *daemon) newIntercepts(proxy *netproxy.Proxy, router httpRouter) *intercept.Room {
	return intercept.New(d.server.Informers().Core().V1().Services().Lister(), redirector{proxy, router}, intercept.Options{
		Addresses: d.gateways(), Domain: clusterDomain, DNS: apiserver.DNSIP(d.settings.families()[0].services), Log: d.cfg.Log,
	})
}

// nodeHandler is the node's HTTP API.
func nodeHandler(agent *runtime.Agent, intercepts *intercept.Room, ways *reach.Room, prunes http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", agent.Handler())
	mux.Handle("/"+intercept.Path, intercepts.Handler())
	mux.Handle("/"+intercept.Path+"/", intercepts.Handler())
	mux.Handle("/"+reach.Path+"/", ways.Handler())
	mux.Handle("/"+prunePath, prunes)
	return mux
}

// redirector tells those who lead connections to Services: the kernel's rules, and the router, which goes by endpoints.
type redirector struct {
	proxy  *netproxy.Proxy
	router httpRouter
}

func servicePort(p intercept.Port) netproxy.ServicePort {
	return netproxy.ServicePort{NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Service}, Port: p.Name}
}

// Redirect is intercept.Redirector's.
func (r redirector) Redirect(ctx context.Context, port intercept.Port, to []netip.AddrPort, endpoints func([]netip.AddrPort)) error {
	if err := r.proxy.Redirect(ctx, netproxy.Redirection{Of: servicePort(port), To: to, Endpoints: endpoints}); err != nil {
		return err
	}
	return r.router.Redirect(ctx, port.Namespace, port.Service, port.Name, to[0].String())
}

// Restore is intercept.Redirector's.
func (r redirector) Restore(ctx context.Context, port intercept.Port) error {
	return errors.Join(r.router.Redirect(ctx, port.Namespace, port.Service, port.Name, ""), r.proxy.Restore(ctx, servicePort(port)))
}
