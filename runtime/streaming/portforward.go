package streaming

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"k8s.io/apimachinery/pkg/types"
	clientportforward "k8s.io/client-go/tools/portforward"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// servePortForward connects the client to ports on a Pod's localhost, any number of
// connections over one request. It speaks SPDY, SPDY in a WebSocket (today's
// kubectl) and the older WebSocket protocol with one channel pair per port.
func (s *Server) servePortForward(w http.ResponseWriter, r *http.Request) {
	tunnel := wsstream.IsWebSocketRequestWithTunnelingProtocol(r)
	opts := &portforward.V4Options{}
	if !tunnel {
		var err error
		if opts, err = portforward.NewV4Options(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	namespace, name, uid := r.PathValue("namespace"), r.PathValue("pod"), types.UID(r.PathValue("uid"))
	pod, ok := s.pods.Pod(namespace, name)
	if !ok {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return
	}
	if uid != "" && uid != pod.UID {
		http.Error(w, "pod not found", http.StatusNotFound)
		return
	}
	sandbox, ok := s.pods.Sandbox(namespace, name, pod.UID)
	if !ok {
		http.Error(w, "pod not found (\""+name+"_"+namespace+"\")", http.StatusInternalServerError)
		return
	}
	w, r, stop := upgrade(w, r)
	defer stop()
	if tunnel {
		if w, r, ok = s.tunnel(w, r); !ok {
			return
		}
	}
	portforward.ServePortForward(w, r, &forwarder{s, r.Context(), sandbox}, pod.Name, string(pod.UID), opts,
		streamIdleTimeout, streamCreationTimeout, portforward.SupportedProtocols)
}

// forwarder makes one request's connections.
type forwarder struct {
	*Server
	ctx     context.Context // the request's: the streaming package does not pass it on
	sandbox string          // Docker's ID
}

// PortForward implements portforward.PortForwarder: it carries one connection,
// until the Pod's side is done or the client resets its own. Only a connection that can't be made is an error:
// for any error clients give up the whole request.
func (f *forwarder) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancelCause(f.ctx)
	if !f.begin(&cancel) {
		cancel(errStopping)
		return errStopping
	}
	defer f.end(&cancel)
	conn, err := f.engine.DialLoopback(ctx, f.sandbox, uint16(port))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	f.spawn(func() { sendInput(ctx, conn, stream) })
	if _, err := io.Copy(stream, conn); err != nil {
		f.log.Debug("a forwarded connection broke off", "port", port, "error", err)
	}
	return nil
}

// The end of the client's input and its reset look the same to a reader, and the reset may
// follow the end. It mostly does so at once; a client that goes on reading costs little.
const (
	resetPollFirst = time.Millisecond
	resetPollMost  = time.Second
)

// sendInput copies what the client sends. Its end is passed on; its reset aborts the Pod's
// side, as if the client were connected to it. It returns when the client closes the stream
// or its connection, and ctx ends.
func sendInput(ctx context.Context, conn net.Conn, stream io.Reader) {
	if _, err := io.Copy(conn, stream); err != nil {
		// The Pod takes no more. What nobody reads would hold up other connections.
		_, _ = io.Copy(io.Discard, stream)
		return
	}
	for wait := resetPollFirst; ; wait = min(2*wait, resetPollMost) {
		if wasReset(stream) {
			abort(conn)
			return
		}
		if half, ok := conn.(interface{ CloseWrite() error }); ok && wait == resetPollFirst {
			_ = half.CloseWrite()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// wasReset tells of a SPDY stream that we have not closed whether it is finished: then the
// client has reset it.
func wasReset(stream io.Reader) bool {
	s, ok := stream.(interface{ IsFinished() bool })
	return ok && s.IsFinished()
}

// abort closes a connection with a reset.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// tunnel accepts a WebSocket that carries SPDY and returns what looks like the
// request of a client that speaks SPDY itself. See KEP-4006.
func (s *Server) tunnel(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, bool) {
	upgrader := websocket.Upgrader{
		CheckOrigin:  func(*http.Request) bool { return true }, // the API server has decided
		Subprotocols: []string{"SPDY/3.1+" + portforward.ProtocolV1Name},
	}
	socket, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.log.Debug("a WebSocket could not be opened", "path", r.URL.Path, "error", err) // the client has been told
		return nil, nil, false
	}
	inner := r.Clone(r.Context())
	inner.Method = http.MethodPost
	inner.Header = http.Header{
		httpstream.HeaderConnection:      {httpstream.HeaderUpgrade},
		httpstream.HeaderUpgrade:         {spdy.HeaderSpdy31},
		httpstream.HeaderProtocolVersion: {portforward.ProtocolV1Name},
	}
	return &tunneled{clientportforward.NewTunnelingConnection("kube-lite", socket), http.Header{}}, inner, true
}

// tunneled answers a request whose answer was given with the WebSocket's handshake:
// all that is left to do with it is to take the connection over.
type tunneled struct {
	conn   net.Conn
	header http.Header
}

func (t *tunneled) Header() http.Header         { return t.header }
func (t *tunneled) WriteHeader(int)             {}
func (t *tunneled) Write(p []byte) (int, error) { return len(p), nil }

// Hijack implements http.Hijacker.
func (t *tunneled) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return t.conn, bufio.NewReadWriter(bufio.NewReader(t.conn), bufio.NewWriter(t.conn)), nil
}
