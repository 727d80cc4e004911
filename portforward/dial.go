// Package portforward connects to ports of pods through the API server, as `kubectl port-forward` does: the bytes are the
// pod's own, unlike those that the API server's HTTP proxy rewrites, and RBAC asks for create of pods/portforward. It owns no
// listener and keeps no connection; whoever dials closes.
//
//	dial := portforward.ToPod(client, config, "default", "web-0", 8080)
//	conn, err := dial(ctx)
package portforward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// ToPod returns what dials a port of a pod; each call is a connection of its own, which is a *Conn.
// https://kubernetes.io/docs/reference/using-api/protocols/
func ToPod(client kubernetes.Interface, config *rest.Config, namespace, pod string, port int32) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		at := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
		connect := overNetwork
		if config.Transport != nil {
			connect = overTransport
		}
		conn, err := connect(ctx, config, at)
		if err != nil {
			return nil, fmt.Errorf("connect to pod %s: %w", pod, err)
		}
		stream, errs, err := openPort(conn, port)
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("connect to port %d of pod %s: %w", port, pod, err)
		}
		return &Conn{stream, errs, conn}, nil
	}
}

// overNetwork connects as kubectl does: over a WebSocket, which proxies let through, or else over SPDY.
func overNetwork(_ context.Context, config *rest.Config, at *url.URL) (httpstream.Connection, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	dialer := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, at)
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(at, config)
	if err != nil {
		return nil, err
	}
	conn, _, err := portforward.NewFallbackDialerForStreaming(tunnel, dialer, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}).Dial(portforward.PortForwardProtocolV1Name)
	return conn, err
}

// openPort makes the two streams of a connection: its data, and what goes wrong with it.
func openPort(conn httpstream.Connection, port int32) (stream, errs httpstream.Stream, err error) {
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	if errs, err = conn.CreateStream(headers); err != nil {
		return nil, nil, err
	}
	_ = errs.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	stream, err = conn.CreateStream(headers)
	return stream, errs, err
}

// Conn is a connection to a pod. It has no addresses and knows no deadlines: who wants an end closes it.
type Conn struct {
	httpstream.Stream
	errs io.Reader
	conn httpstream.Connection
}

// Read says why there is no more, if the node says so: that nothing listens on the port.
func (f *Conn) Read(p []byte) (int, error) {
	n, err := f.Stream.Read(p)
	if errors.Is(err, io.EOF) {
		if text, _ := io.ReadAll(f.errs); len(text) > 0 {
			return n, errors.New(strings.TrimSpace(string(text)))
		}
	}
	return n, err
}

// CloseWrite says that there is nothing more to come, and goes on reading.
func (f *Conn) CloseWrite() error { return f.Stream.Close() }

// Close ends the connection to the API server too: it has no other stream.
func (f *Conn) Close() error {
	_ = f.Stream.Close()
	return f.conn.Close()
}

// The rest of net.Conn. Requests have a limit of their own, which closes the connection.
func (f *Conn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (f *Conn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (f *Conn) SetDeadline(time.Time) error      { return nil }
func (f *Conn) SetReadDeadline(time.Time) error  { return nil }
func (f *Conn) SetWriteDeadline(time.Time) error { return nil }
