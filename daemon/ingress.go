package daemon

import (
	"context"
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/kube-lite/kube-lite/apiserver"
	"github.com/kube-lite/kube-lite/router"
)

// HTTPPortsOff is the value of --http-ports that has no Ingresses served.
const HTTPPortsOff = "off"

// httpRouter is the room that serves Ingresses, or the one in its place.
type httpRouter interface {
	Run(context.Context) error
	// Ready is closed when the API says whether Ingresses are served.
	Ready() <-chan struct{}
	// Redirect is router.Router's.
	Redirect(ctx context.Context, namespace, service, port, to string) error
}

// newRouter serves Ingresses, or says that nobody does.
func (d *daemon) newRouter() (httpRouter, error) {
	client, err := kubernetes.NewForConfig(d.server.ConfigFor(apiserver.RouterUser))
	if err != nil {
		return nil, fmt.Errorf("client of the router: %w", err)
	}
	if d.cfg.HTTPPorts == HTTPPortsOff {
		return noRouter{client, d.server.ConfigFor(apiserver.RouterUser), d.cfg.Log, make(chan struct{})}, nil
	}
	opts := router.Options{
		Addresses: d.cfg.NodePortAddresses, Certificate: d.pki.IngressCertificate,
		Config: d.server.ConfigFor(apiserver.RouterUser), Log: d.cfg.Log,
	}
	if d.cfg.HTTPPorts != "" {
		if opts.Ports, err = router.ParsePorts(d.cfg.HTTPPorts); err != nil {
			return nil, fmt.Errorf("--http-ports %w", err)
		}
	}
	events, err := d.newEvents(apiserver.RouterUser)
	if err != nil {
		return nil, err
	}
	opts.Recorder = events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kube-lite-router"})
	made, err := router.New(client, d.server.Informers(), opts)
	if err != nil {
		return nil, fmt.Errorf("serve Ingresses at --http-ports %s: %w", d.cfg.HTTPPorts, err)
	}
	return made, nil
}

// noRouter is the room where --http-ports is off.
type noRouter struct {
	client kubernetes.Interface
	config *rest.Config
	log    *slog.Logger
	ready  chan struct{}
}

// Ready is httpRouter's.
func (r noRouter) Ready() <-chan struct{} { return r.ready }

// Redirect is httpRouter's: nothing is led anywhere.
func (noRouter) Redirect(context.Context, string, string, string, string) error { return nil }

// Run takes back what a router before may have told, and says of Gateways that nothing serves them.
func (r noRouter) Run(ctx context.Context) error {
	if err := router.Retire(ctx, r.client); err != nil && ctx.Err() == nil {
		r.log.Warn("Ingresses are not served any more, but still say so", "err", err)
	}
	close(r.ready)
	return router.DeclineGateways(ctx, r.config, r.log)
}

// checkHTTPPorts finds what is wrong with the value of --http-ports.
func checkHTTPPorts(text string) error {
	if text == "" || text == HTTPPortsOff {
		return nil
	}
	if _, err := router.ParsePorts(text); err != nil {
		return fmt.Errorf("--http-ports %w, or %s", err, HTTPPortsOff)
	}
	return nil
}

// IngressCAPath is the certificate of the authority that signs for the hosts of Ingresses.
func (c Config) IngressCAPath() string { return apiserver.IngressCAFile(c.path(pkiDir)) }
