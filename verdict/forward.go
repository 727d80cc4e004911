package verdict

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// forward connects to a port of a pod through the API server: https://kubernetes.io/docs/reference/using-api/protocols/
// The bytes are the pod's own, unlike those that the API server's HTTP proxy rewrites.
func (c *Cluster) forward(namespace, pod string, port int32) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		at := c.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
		transport, upgrader, err := spdy.RoundTripperFor(c.REST)
		if err != nil {
			return nil, err
		}
		dialer := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, at)
		tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(at, c.REST)
		if err != nil {
			return nil, err
		}
		conn, _, err := portforward.NewFallbackDialerForStreaming(tunnel, dialer, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		}).Dial(portforward.PortForwardProtocolV1Name)
		if err != nil {
			return nil, fmt.Errorf("connect to pod %s: %w", pod, err)
		}
		stream, errs, err := openPort(conn, port)
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("connect to port %d of pod %s: %w", port, pod, err)
		}
		return &forwarded{stream, errs, conn}, nil
	}
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

// forwarded is a stream as a connection of net/http.
type forwarded struct {
	httpstream.Stream
	errs io.Reader
	conn httpstream.Connection
}

// Read says why there is no more, if the node says so: that nothing listens on the port.
func (f *forwarded) Read(p []byte) (int, error) {
	n, err := f.Stream.Read(p)
	if errors.Is(err, io.EOF) {
		if text, _ := io.ReadAll(f.errs); len(text) > 0 {
			return n, errors.New(strings.TrimSpace(string(text)))
		}
	}
	return n, err
}

// Close ends the connection to the API server too: it has no other stream.
func (f *forwarded) Close() error {
	_ = f.Stream.Close()
	return f.conn.Close()
}

// The rest of net.Conn. Requests have a limit of their own, which closes the connection.
func (f *forwarded) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (f *forwarded) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (f *forwarded) SetDeadline(time.Time) error      { return nil }
func (f *forwarded) SetReadDeadline(time.Time) error  { return nil }
func (f *forwarded) SetWriteDeadline(time.Time) error { return nil }
