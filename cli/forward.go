package cli

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	forwardcmd "k8s.io/kubectl/pkg/cmd/portforward"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/streaming/pkg/httpstream"
)

// runPortForward is what port-forward does. kubectl's own never tells the Pod that a local
// connection was aborted.
func runPortForward(f cmdutil.Factory, streams genericiooptions.IOStreams) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		o := forwardcmd.NewDefaultPortForwardOptions(streams)
		o.PortForwarder = forwarder{streams}
		o.Address = cmdutil.GetFlagStringSlice(cmd, "address")
		cmdutil.CheckErr(o.Complete(f, cmd, args))
		cmdutil.CheckErr(o.Validate())
		cmdutil.CheckErr(o.RunPortForwardContext(context.Background()))
	}
}

// forwarder forwards ports as kubectl's does, over connections whose streams say when they
// are aborted.
type forwarder struct{ genericiooptions.IOStreams }

// ForwardPorts implements the interface of kubectl's PortForwardOptions.
func (f forwarder) ForwardPorts(method string, at *url.URL, o forwardcmd.PortForwardOptions) error {
	transport, upgrader, err := spdy.RoundTripperFor(o.Config)
	if err != nil {
		return err
	}
	dialer := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, method, at)
	if !cmdutil.PortForwardWebsockets.IsDisabled() {
		tunneling, err := portforward.NewSPDYOverWebsocketDialerForStreaming(at, o.Config)
		if err != nil {
			return err
		}
		dialer = portforward.NewFallbackDialerForStreaming(tunneling, dialer, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		})
	}
	ports, err := portforward.NewOnAddressesForStreaming(abortDialer{dialer}, o.Address, o.Ports, o.StopChannel, o.ReadyChannel, f.Out, f.ErrOut)
	if err != nil {
		return err
	}
	return ports.ForwardPorts()
}

// abortDialer makes connections with streams that can be aborted.
type abortDialer struct{ httpstream.Dialer }

func (d abortDialer) Dial(protocols ...string) (httpstream.Connection, string, error) {
	conn, protocol, err := d.Dialer.Dial(protocols...)
	if err != nil {
		return nil, "", err
	}
	return abortConn{conn}, protocol, nil
}

type abortConn struct{ httpstream.Connection }

func (c abortConn) CreateStream(headers http.Header) (httpstream.Stream, error) {
	stream, err := c.Connection.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	return abortStream{stream}, nil
}

// RemoveStreams implements httpstream.Connection, which knows its own streams only.
func (c abortConn) RemoveStreams(streams ...httpstream.Stream) {
	theirs := make([]httpstream.Stream, 0, len(streams))
	for _, s := range streams {
		if ours, ok := s.(abortStream); ok {
			s = ours.Stream
		}
		theirs = append(theirs, s)
	}
	c.Connection.RemoveStreams(theirs...)
}

// abortStream is the Pod's end of a connection. client-go closes it when the local client
// sends no more, also when that is because the client is gone, and then resets it; but SPDY
// resets no stream that is closed, and so the Pod would see but the end of its input.
type abortStream struct{ httpstream.Stream }

// Reset tells the Pod that its output is not wanted any more, even after the end of its
// input. The streams of SPDY without a WebSocket, which only other servers need, lack Cancel.
func (s abortStream) Reset() error {
	err := s.Stream.Reset()
	if closed, ok := s.Stream.(interface{ Cancel() error }); ok {
		_ = closed.Cancel() // the connection may be gone too
	}
	return err
}
