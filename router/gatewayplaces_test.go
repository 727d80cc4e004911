package router

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// gatewayRouter is a Router that serves Gateways as a test has them, and no Ingresses.
func gatewayRouter(t *testing.T) *Router {
	t.Helper()
	client := fake.NewClientset()
	r, err := New(client, informers.NewSharedInformerFactory(client, 0), Options{Certificate: func(host string) (*tls.Certificate, error) {
		return selfSigned(host, time.Now().Add(time.Hour*24*365))
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.sockets.close)
	return r
}

// serveText serves the Gateways of documents and returns the first.
func (r *Router) serveText(t *testing.T, text string) (*gatewayPart, error) {
	t.Helper()
	translated := translatedGateways(t, text)
	made := newTable()
	err := r.serveGateways(translated, made)
	r.table.Store(made)
	return translated.all[0], err
}

// said is a condition of a list as "Status/Reason: message".
func said(conditions []metav1.Condition, kind string) string {
	c := meta.FindStatusCondition(conditions, kind)
	if c == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s/%s: %s", c.Status, c.Reason, c.Message)
}

func TestANameThatNoListenerHasIsRefused(t *testing.T) {
	r, port := gatewayRouter(t), freePorts(t).HTTP
	g, err := r.serveText(t, fmt.Sprintf(`
kind: Gateway
metadata: {name: g}
spec: {listeners: [{name: https, port: %d, protocol: HTTPS, hostname: "*.known.localhost", tls: {options: {kube-lite.io/certificate: instance}}}]}
`, port))
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(g.served.own, port).String()
	for _, c := range []struct {
		name    string
		refused bool
	}{{"a.known.localhost", false}, {"other.localhost", true}, {"known.localhost", true}, {"a.known.localhost", false}} {
		conn, err := tls.Dial("tcp", at, &tls.Config{ServerName: c.name, InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
		}
		if refused := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET); refused != c.refused || !refused && err != nil {
			t.Errorf("a handshake for %s at %s ends with %v; refused it should be: %t", c.name, at, err, c.refused)
		}
	}
	// At localhost are all Gateways, and Ingresses: none of them can speak for the others.
	conn, err := tls.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String(), &tls.Config{ServerName: "other.localhost", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestStreamsAreLedByTheNameOfTheHandshake(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); _, _ = io.Copy(conn, conn) }()
		}
	}()
	r, port := gatewayRouter(t), freePorts(t).HTTP
	tr := translatedGateways(t, fmt.Sprintf(`
kind: Gateway
metadata: {name: g}
spec: {listeners: [{name: tls, port: %d, protocol: TLS, hostname: "*.led.localhost", tls: {options: {kube-lite.io/certificate: instance}}}]}
---
kind: TLSRoute
metadata: {name: echo}
spec: {parentRefs: [{name: g}], hostnames: [echo.led.localhost], rules: [{backendRefs: [{name: echo, port: 80}]}]}
`, port))
	tr.backend(backendKey{"default", "echo", networkingv1.ServiceBackendPort{Number: 80}, ""}).lead(protocolHTTP, []string{echo.Addr().String()}, "")
	made := newTable()
	if err := r.serveGateways(tr, made); err != nil {
		t.Fatal(err)
	}
	r.table.Store(made)
	at := netip.AddrPortFrom(tr.all[0].served.own, port).String()
	conn, err := tls.Dial("tcp", at, &tls.Config{ServerName: "echo.led.localhost", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("there and back")); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "there and back" || err != nil {
		t.Errorf("the pod answers %q, %v", got, err)
	}
	if conn, err := tls.Dial("tcp", at, &tls.Config{ServerName: "none.led.localhost", InsecureSkipVerify: true}); err == nil {
		conn.Close()
		t.Error("a name that no route has is answered")
	}
}

func TestTakenPortsAreTold(t *testing.T) {
	r, ports := gatewayRouter(t), freePorts(t)
	text := fmt.Sprintf(`
kind: Gateway
metadata: {name: g}
spec: {listeners: [{name: taken, port: %d, protocol: HTTP}, {name: free, port: %d, protocol: HTTP}]}
`, ports.HTTP, ports.HTTPS)
	for _, c := range []struct {
		what, at, listener, gateway string
		fails                       bool
	}{
		{"everywhere", "0.0.0.0", fmt.Sprintf("False/PortUnavailable: port %d cannot be had on this machine: ", ports.HTTP), fmt.Sprintf("; port %d cannot be had", ports.HTTP), true},
		{"on localhost", "127.0.0.1", fmt.Sprintf("True/Programmed: port %d is served at 127.0.80.", ports.HTTP), " alone, not on localhost: ", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			r.sockets.close()
			other, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", c.at, ports.HTTP))
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			g, err := r.serveText(t, text)
			if (err != nil) != c.fails {
				t.Errorf("serving returns %v", err)
			}
			status := g.status(Ports{80, 443})
			if got := said(status.Listeners[0].Conditions, "Programmed"); !strings.HasPrefix(got, c.listener) {
				t.Errorf("the listener says %q, want %q", got, c.listener)
			}
			if got := said(status.Listeners[1].Conditions, "Programmed"); got != "True/Programmed: " {
				t.Errorf("the other listener says %q", got)
			}
			got := said(status.Conditions, "Programmed")
			if want := fmt.Sprintf("True/Programmed: Reachable at http://localhost:%d, and with its own ports at 127.0.80.", ports.HTTPS); !strings.HasPrefix(got, want) || !strings.Contains(got, c.gateway) {
				t.Errorf("the Gateway says %q, want %q and %q", got, want, c.gateway)
			}
			_ = other.Close()
			if g, err = r.serveText(t, text); err != nil {
				t.Error("after the port was let go:", err)
			}
			if got := said(g.status(Ports{80, 443}).Listeners[0].Conditions, "Programmed"); got != "True/Programmed: " {
				t.Errorf("after the port was let go the listener says %q", got)
			}
		})
	}
	t.Run("all that there are", func(t *testing.T) {
		r.sockets.close()
		other, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", ports.HTTP))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		g, err := r.serveText(t, strings.Replace(text, fmt.Sprintf("port: %d", ports.HTTPS), fmt.Sprintf("hostname: x, port: %d", ports.HTTP), 1))
		if err == nil {
			t.Error("serving returns no error, so that nobody tries again")
		}
		status := g.status(Ports{80, 443})
		if got, want := said(status.Conditions, "Programmed"), fmt.Sprintf("False/PortUnavailable: port %d cannot be had", ports.HTTP); !strings.HasPrefix(got, want) {
			t.Errorf("the Gateway says %q, want %q", got, want)
		}
		if len(status.Addresses) > 0 {
			t.Errorf("the Gateway has the addresses %v", status.Addresses)
		}
	})
}

func TestAGatewayWithoutAnAddressIsOnLocalhost(t *testing.T) {
	g := &gatewayPart{Gateway: &gatewayv1.Gateway{}, made: &gateway{listeners: []*listener{{port: 80}}}}
	g.served = served{ownTaken: map[uint16]error{80: syscall.EADDRINUSE}}
	status := g.status(Ports{8080, 8443})
	if got, want := said(status.Conditions, "Programmed"), "True/Programmed: Reachable at http://localhost:8080; port 80 is served on localhost alone"; !strings.HasPrefix(got, want) {
		t.Errorf("the Gateway says %q, want %q", got, want)
	}
	if len(status.Addresses) != 1 || status.Addresses[0].Value != "127.0.0.1" {
		t.Errorf("the Gateway has the addresses %v", status.Addresses)
	}
	if got := said(g.status(Ports{}).Conditions, "Programmed"); !strings.HasPrefix(got, "False/PortUnavailable: port 80 ") {
		t.Errorf("without a pair of ports either the Gateway says %q", got)
	}
}

func TestGatewaysLearnThatNothingServesThem(t *testing.T) {
	before := translatedGateways(t, plainGateway+`
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: g}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`)
	o := before.gatewayObjects
	before.all[0].served.own = netip.MustParseAddr("127.0.80.1")
	o.gateways[0].Status = before.all[0].status(Ports{80, 443})
	o.http[0].Status.Parents = before.statuses[0].parents
	for _, classes := range [][]*gatewayv1.GatewayClass{o.classes, nil} { // a Router was there before, or never
		o.classes = classes
		written := map[string]any{}
		for _, w := range declinedStatuses(o) {
			written[w.resource] = w.want
		}
		status, _ := written["gateways"].(gatewayv1.GatewayStatus)
		for _, kind := range []string{"Accepted", "Programmed"} {
			if got, want := said(status.Conditions, kind), "False/HTTPPortsOff: "+textOff; got != want {
				t.Errorf("%s is %q, want %q", kind, got, want)
			}
		}
		if len(status.Addresses) > 0 || len(status.Listeners) > 0 {
			t.Errorf("the status still says %+v", status)
		}
		if route, ok := written["httproutes"].(gatewayv1.RouteStatus); !ok || len(route.Parents) > 0 {
			t.Errorf("the route's status is to be %+v", written["httproutes"])
		}
		if class, ok := written["gatewayclasses"].(gatewayv1.GatewayClassStatus); ok != (classes != nil) || ok && !strings.HasPrefix(said(class.Conditions, "Accepted"), "False/") {
			t.Errorf("the class's status is to be %+v", written["gatewayclasses"])
		}
	}
}

func TestRequestsAreServedWhereTheyArrive(t *testing.T) {
	r := gatewayRouter(t)
	r.ports.Store(&Ports{8080, 8443})
	g, err := r.serveText(t, plainGateway+`
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: g}]
  hostnames: [web.localhost]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: found.localhost}}]}]
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   string
		host string
		code int
		text string // in the answer
	}{
		{g.served.own.String() + ":80", "web.localhost", http.StatusFound, ""},
		{g.served.own.String() + ":80", "other.localhost", http.StatusNotFound, "no route of the Gateway default/g"},
		{"127.0.0.1:8080", "web.localhost", http.StatusFound, ""},
		{"127.0.0.1:8080", "other.localhost", http.StatusNotFound, "no Ingress and no Gateway has a route"},
	} {
		req := httptest.NewRequest(http.MethodGet, "http://"+c.host+"/", nil)
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.at))
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, req.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local)))
		if answer.Code != c.code || !strings.Contains(answer.Body.String(), c.text) {
			t.Errorf("%s at %s: %d %s", c.host, c.at, answer.Code, answer.Body)
		}
	}
}
