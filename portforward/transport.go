package portforward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// overTransport upgrades a request of a transport that client-go's dialers would pass by: one through memory.
func overTransport(ctx context.Context, config *rest.Config, at *url.URL) (httpstream.Connection, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	request.Header.Set(httpstream.HeaderUpgrade, spdy.HeaderSpdy31)
	request.Header.Set(httpstream.HeaderProtocolVersion, portforward.PortForwardProtocolV1Name)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		defer response.Body.Close()
		return nil, refusal(response)
	}
	body, ok := response.Body.(io.ReadWriteCloser)
	if !ok {
		return nil, errors.Join(errors.New("the transport keeps its connection"), response.Body.Close())
	}
	return spdy.NewClientConnection(&upgraded{body})
}

// refusal is what the API says in place of an upgrade.
func refusal(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // what there is
	var status metav1.Status
	if json.Unmarshal(text, &status) == nil && status.Message != "" {
		return &apierrors.StatusError{ErrStatus: status}
	}
	return fmt.Errorf("%s: %s", response.Status, text)
}

// upgraded is the body of an upgraded answer as a connection.
type upgraded struct{ io.ReadWriteCloser }

// The rest of net.Conn, which SPDY can do without.
func (upgraded) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (upgraded) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (upgraded) SetDeadline(time.Time) error      { return nil }
func (upgraded) SetReadDeadline(time.Time) error  { return nil }
func (upgraded) SetWriteDeadline(time.Time) error { return nil }
