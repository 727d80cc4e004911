package router

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"
)

// backendKey names a port of a Service, and what is spoken with its pods.
type backendKey struct {
	namespace, service string
	port               networkingv1.ServiceBackendPort
	protocol           protocol // "": as the port's appProtocol says
}

// backend passes requests on to the endpoints of a Service, in turns.
type backend struct {
	key     backendKey
	current atomic.Pointer[destination]
	turn    atomic.Uint32
}

// destination is where a backend leads. It is immutable.
type destination struct {
	protocol  protocol
	endpoints []*endpoint
	// problem says what is wrong with the declaration; "" if nothing is. A Service without pods is no mistake.
	problem string
}

// endpoint is a pod's port, with the connections to it.
type endpoint struct {
	address   string // host and port
	transport *http.Transport
}

// errNoEndpoints says that a Service has no pod that takes requests.
var errNoEndpoints = errors.New("no pod of it is ready")

// lead makes the backend lead to these addresses, with which protocol is spoken. Connections to addresses that stay are
// kept, those that wait for requests to others are closed.
func (b *backend) lead(protocol protocol, addresses []string, problem string) {
	b.leadBy(protocol, addresses, problem, protocol.transport)
}

// leadBy is lead with transports of a certain making for addresses that are new.
func (b *backend) leadBy(protocol protocol, addresses []string, problem string, transport func() *http.Transport) {
	next := &destination{protocol: protocol, problem: problem}
	gone := map[string]*endpoint{}
	if now := b.current.Load(); now != nil {
		for _, e := range now.endpoints {
			if now.protocol == protocol {
				gone[e.address] = e
			} else {
				defer e.transport.CloseIdleConnections()
			}
		}
	}
	for _, address := range addresses {
		e := gone[address]
		delete(gone, address)
		if e == nil {
			e = &endpoint{address: address, transport: transport()}
		}
		next.endpoints = append(next.endpoints, e)
	}
	b.current.Store(next)
	for _, e := range gone {
		e.transport.CloseIdleConnections()
	}
}

// release closes the connections that wait for requests.
func (b *backend) release() {
	for _, e := range b.current.Load().endpoints {
		e.transport.CloseIdleConnections()
	}
}

// RoundTrip is http.RoundTripper's. A request that an endpoint has not seen, or that may be repeated, is given to the next
// one when it fails, each once.
func (b *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := *r
	var body *requestBody
	if r.Body != nil && r.Body != http.NoBody {
		body = &requestBody{Reader: r.Body}
		sent.Body = body
	}
	var tried []*endpoint
	var err error
	for {
		to := b.current.Load()
		e := to.next(b.turn.Add(1), tried)
		switch {
		case to.problem != "":
			return nil, errors.New(to.problem)
		case e == nil && err == nil:
			return nil, errNoEndpoints
		case e == nil:
			return nil, err
		}
		out, url := sent, *r.URL // a transport may look at a request after it has failed
		url.Scheme, url.Host = to.protocol.scheme(), e.address
		out.URL = &url
		response, failed := e.transport.RoundTrip(&out)
		if failed == nil {
			return response, nil
		}
		err = fmt.Errorf("endpoint %s: %w", e.address, failed)
		if r.Context().Err() != nil || !repeatable(r, body, failed) {
			return nil, err
		}
		tried = append(tried, e)
	}
}

// next is the endpoint whose turn it is among those that have not been tried, nil if there is none.
func (d *destination) next(turn uint32, tried []*endpoint) *endpoint {
	for i := range uint32(len(d.endpoints)) {
		if e := d.endpoints[(turn+i)%uint32(len(d.endpoints))]; !slices.Contains(tried, e) {
			return e
		}
	}
	return nil
}

// repeatable tells whether a request that failed may be sent again: if it cannot have been answered, or if that would do no
// harm (RFC 9110, section 9.2.2) and its body is still there.
func repeatable(r *http.Request, body *requestBody, failed error) bool {
	if body != nil && body.touched.Load() {
		return false
	}
	if op := (*net.OpError)(nil); errors.As(failed, &op) && op.Op == "dial" {
		return true
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	default:
		return false
	}
}

// requestBody knows whether some of it was taken. Closing it does nothing: a transport closes the body of a request that it
// could not send, and the server closes the one that it made.
type requestBody struct {
	io.Reader
	touched atomic.Bool
}

// Read is io.Reader's.
func (b *requestBody) Read(p []byte) (int, error) {
	b.touched.Store(true)
	return b.Reader.Read(p)
}

// Close is io.Closer's.
func (*requestBody) Close() error { return nil }

// String is for messages.
func (b *backend) String() string {
	return fmt.Sprintf("Service %s/%s", b.key.namespace, b.key.service)
}

// portOf finds the port of a Service that an Ingress names, by number or by name.
func portOf(svc *corev1.Service, wanted networkingv1.ServiceBackendPort) (corev1.ServicePort, error) {
	for _, p := range svc.Spec.Ports {
		if wanted.Name != "" && p.Name == wanted.Name || wanted.Name == "" && p.Port == wanted.Number {
			return p, nil
		}
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName && wanted.Name == "" {
		return corev1.ServicePort{Port: wanted.Number}, nil
	}
	name := cmp.Or(wanted.Name, strconv.Itoa(int(wanted.Number)))
	return corev1.ServicePort{}, fmt.Errorf("the Service %s/%s has no port %s", svc.Namespace, svc.Name, name)
}

// addressesOf are where the pods behind a port of a Service take requests: those that are ready, or else those that still
// serve while they terminate, as kube-proxy has it. IPv4 is preferred.
func addressesOf(svc *corev1.Service, port corev1.ServicePort, found []*discoveryv1.EndpointSlice) []string {
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return []string{net.JoinHostPort(svc.Spec.ExternalName, strconv.Itoa(int(port.Port)))}
	}
	for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
		var ready, terminating []string
		for _, slice := range found {
			if slice.AddressType != family {
				continue
			}
			target := targetPort(slice, port.Name)
			if target == "" {
				continue
			}
			for _, e := range slice.Endpoints {
				switch {
				case ptr.Deref(e.Conditions.Ready, true):
					ready = append(ready, net.JoinHostPort(e.Addresses[0], target))
				case ptr.Deref(e.Conditions.Serving, false) && ptr.Deref(e.Conditions.Terminating, false):
					terminating = append(terminating, net.JoinHostPort(e.Addresses[0], target))
				}
			}
		}
		for _, addresses := range [][]string{ready, terminating} {
			if len(addresses) > 0 {
				slices.Sort(addresses)
				return slices.Compact(addresses)
			}
		}
	}
	return nil
}

// targetPort is the port of a slice's pods; "" if it has none of this name.
func targetPort(slice *discoveryv1.EndpointSlice, name string) string {
	for _, p := range slice.Ports {
		if ptr.Deref(p.Name, "") == name && p.Port != nil && ptr.Deref(p.Protocol, corev1.ProtocolTCP) == corev1.ProtocolTCP {
			return strconv.Itoa(int(*p.Port))
		}
	}
	return ""
}
