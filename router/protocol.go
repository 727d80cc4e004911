package router

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/utils/ptr"
)

// protocol is what a pod speaks.
type protocol string

// The values of the annotation backend-protocol that are known.
const (
	protocolHTTP  protocol = "HTTP"
	protocolHTTPS protocol = "HTTPS"
	protocolGRPC  protocol = "GRPC"  // HTTP/2 without TLS
	protocolGRPCS protocol = "GRPCS" // HTTP/2 with TLS
)

// parseProtocol reads the value of the annotation backend-protocol.
func parseProtocol(text string) (protocol, error) {
	switch p := protocol(strings.ToUpper(text)); p {
	case protocolHTTP, protocolHTTPS, protocolGRPC, protocolGRPCS:
		return p, nil
	default:
		return "", fmt.Errorf("use %s, %s, %s or %s", protocolHTTP, protocolHTTPS, protocolGRPC, protocolGRPCS)
	}
}

// protocolOf reads the appProtocol of a Service's port.
// https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol
func protocolOf(appProtocol *string) protocol {
	switch strings.ToLower(ptr.Deref(appProtocol, "")) {
	case "kubernetes.io/h2c", "grpc":
		return protocolGRPC
	case "kubernetes.io/wss", "https":
		return protocolHTTPS
	default:
		return protocolHTTP
	}
}

func (p protocol) scheme() string {
	if p == protocolHTTPS || p == protocolGRPCS {
		return "https"
	}
	return "http"
}

const (
	// dialLimit is how long an endpoint may take to accept a connection before the next one gets the request.
	dialLimit = 5 * time.Second
	// idleLimit is how long a connection to an endpoint is kept for a next request.
	idleLimit = 60 * time.Second
	// maxIdle is how many of them are kept for each endpoint.
	maxIdle = 256
)

// singleTransport is transport with a connection for each request.
func (p protocol) singleTransport() *http.Transport {
	t := p.transport()
	t.DisableKeepAlives = true
	return t
}

// transport speaks p with one endpoint. Certificates of pods are not verified, as ingress-nginx does not: nobody but the
// pods signs them.
func (p protocol) transport() *http.Transport {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialLimit}).DialContext,
		TLSHandshakeTimeout: dialLimit,
		IdleConnTimeout:     idleLimit,
		MaxIdleConnsPerHost: maxIdle,
		DisableCompression:  true, // the client says what it takes, and gets it as it is
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		Protocols:           new(http.Protocols),
	}
	switch p {
	case protocolGRPC:
		t.Protocols.SetUnencryptedHTTP2(true)
	case protocolGRPCS:
		t.Protocols.SetHTTP2(true)
	default:
		t.Protocols.SetHTTP1(true)
	}
	return t
}
