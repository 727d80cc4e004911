package streaming

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/kube-lite/kube-lite/runtime/docker"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	clientspdy "k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

const forwardPath = "/portForward/default/web"

// forwardDialer speaks SPDY, as it is or in a WebSocket.
func forwardDialer(t *testing.T, r *rig, tunneled bool) httpstream.Dialer {
	t.Helper()
	u, err := url.Parse(r.url + forwardPath)
	if err != nil {
		t.Fatal(err)
	}
	if tunneled {
		dialer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(u, &rest.Config{Host: r.url})
		if err != nil {
			t.Fatal(err)
		}
		return dialer
	}
	transport, upgrader, err := clientspdy.RoundTripperFor(&rest.Config{Host: r.url})
	if err != nil {
		t.Fatal(err)
	}
	return clientspdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, u)
}

// forward forwards a port of the Pod as kubectl does, until the test ends or the
// connection is lost. It returns the local address.
func forward(t *testing.T, r *rig, tunneled bool, port int) (address string, done <-chan error) {
	t.Helper()
	stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	f, err := portforward.NewOnAddressesForStreaming(forwardDialer(t, r, tunneled), []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- f.ForwardPorts() }()
	t.Cleanup(func() { close(stop) })
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the forwarding ended: %v", err)
	}
	ports, err := f.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0].Local), ended
}

// listens waits until a talker in the container listens.
func (r *rig) listens(t *testing.T, id, address string) {
	t.Helper()
	within(t, "a listener on "+address, func() bool { return strings.Contains(r.log(t, id), "listening on "+address) })
}

// log is what a container has written.
func (r *rig) log(t *testing.T, id string) string {
	t.Helper()
	log, err := r.engine.Logs(t.Context(), id, docker.LogOptions{Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var out strings.Builder
	if err := log.Copy(t.Context(), &out, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPortForward(t *testing.T) {
	r := newRig(t)
	r.listens(t, r.start(t, sandboxName, docker.ContainerSpec{}, "echo", "127.0.0.1:7007"), "127.0.0.1:7007")
	for name, tunneled := range map[string]bool{"SPDY": false, "WebSocket": true} {
		t.Run(name, func(t *testing.T) {
			t.Run("many connections at once", func(t *testing.T) {
				address, _ := forward(t, r, tunneled, 7007)
				var all sync.WaitGroup
				for i := range 50 {
					all.Go(func() { talk(t, address, strings.Repeat(fmt.Sprintf("connection %d\n", i), 5000)) })
				}
				all.Wait()
				home, err := os.Readlink("/proc/self/ns/net")
				if err != nil {
					t.Fatal(err)
				}
				threads, _ := filepath.Glob("/proc/self/task/*/ns/net")
				for _, thread := range threads {
					if ns, err := os.Readlink(thread); err == nil && ns != home {
						t.Errorf("%s was left in the container's network", thread)
					}
				}
			})
			t.Run("says why a connection cannot be made", func(t *testing.T) {
				conn, _, err := forwardDialer(t, r, tunneled).Dial("portforward.k8s.io")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				headers := http.Header{"Streamtype": {"error"}, "Port": {"7999"}, "Requestid": {"1"}}
				errs, err := conn.CreateStream(headers)
				if err != nil {
					t.Fatal(err)
				}
				headers.Set("streamType", "data")
				if _, err := conn.CreateStream(headers); err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(errs)
				for _, words := range []string{"error forwarding port 7999 to pod web", "localhost:7999", "connection refused"} {
					if !strings.Contains(string(got), words) {
						t.Errorf("the client was told %q, without %q", got, words)
					}
				}
			})
		})
	}
}

func TestPortForwardThatTheClientResetsEndsInThePod(t *testing.T) {
	r := newRig(t)
	id := r.start(t, sandboxName, docker.ContainerSpec{}, "pour", "127.0.0.1:7008")
	r.listens(t, id, "127.0.0.1:7008")
	gone := 0
	for name, c := range map[string]struct {
		tunneled bool
		reset    func(httpstream.Stream)
	}{
		"SPDY":                                {false, func(s httpstream.Stream) { _ = s.Reset() }},
		"WebSocket":                           {true, func(s httpstream.Stream) { _ = s.Reset() }},
		"WebSocket, after the end of its own": {true, func(s httpstream.Stream) { s.Close(); _ = s.(interface{ Cancel() error }).Cancel() }},
	} {
		t.Run(name, func(t *testing.T) {
			data := forwardStream(t, r, c.tunneled, "7008")
			if _, err := data.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			c.reset(data)
			gone++
			within(t, "the end of the connection", func() bool { return strings.Count(r.log(t, id), "gone\n") == gone })
		})
	}
}

func TestPodThatTakesNoMoreHoldsUpNoOtherConnection(t *testing.T) {
	r := newRig(t)
	id := r.start(t, sandboxName, docker.ContainerSpec{}, "mute", "127.0.0.1:7009")
	r.listens(t, id, "127.0.0.1:7009")
	address, _ := forward(t, r, false, 7009)
	for n := range 20 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(streamDeadline))
		go func() { _, _ = conn.Write(make([]byte, 1<<20)) }()
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d does not hear that the Pod closed it", n)
		}
	}
}

// forwardStream opens one connection to a port of the Pod.
func forwardStream(t *testing.T, r *rig, tunneled bool, port string) httpstream.Stream {
	t.Helper()
	conn, _, err := forwardDialer(t, r, tunneled).Dial("portforward.k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	headers := http.Header{"Streamtype": {"error"}, "Port": {port}, "Requestid": {"1"}}
	if _, err := conn.CreateStream(headers); err != nil {
		t.Fatal(err)
	}
	headers.Set("streamType", "data")
	data, err := conn.CreateStream(headers)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// talk sends to an echo, closes its side and reads to the end.
func talk(t *testing.T, address, text string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(streamDeadline))
	go func() {
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	if got, err := io.ReadAll(conn); err != nil || string(got) != text {
		t.Errorf("sent %d bytes, got %d back, %v", len(text), len(got), err)
	}
}

func TestPortForwardToIPv6(t *testing.T) {
	r := newRig(t)
	id := r.start(t, sandboxName, docker.ContainerSpec{Sysctls: map[string]string{"net.ipv6.conf.all.disable_ipv6": "0"}}, "echo", "[::1]:7006")
	within(t, "the talker", func() bool {
		c, err := r.engine.Inspect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Running() {
			t.Skip("this machine's containers have no IPv6 loopback")
		}
		conn, err := r.engine.DialLoopback(t.Context(), id, 7006)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	address, _ := forward(t, r, false, 7006)
	talk(t, address, "over IPv6")
}

func TestPortForwardEndsWithTheAgent(t *testing.T) {
	for name, tunneled := range map[string]bool{"SPDY": false, "WebSocket": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.listens(t, r.start(t, sandboxName, docker.ContainerSpec{}, "echo", "127.0.0.1:7007"), "127.0.0.1:7007")
			address, done := forward(t, r, tunneled, 7007)
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "x"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			r.end(t)
			select {
			case err := <-done:
				if err == nil {
					t.Error("the client did not learn that the connection is lost")
				}
			case <-time.After(streamDeadline):
				t.Error("the client still believes in its connection")
			}
		})
	}
}

func TestPortForwardInTheOlderWebSocketProtocol(t *testing.T) {
	r := newRig(t)
	r.listens(t, r.start(t, sandboxName, docker.ContainerSpec{}, "echo", "127.0.0.1:7007"), "127.0.0.1:7007")
	dialer := websocket.Dialer{Subprotocols: []string{"v4.channel.k8s.io"}}
	ctx, cancel := context.WithTimeout(t.Context(), streamDeadline)
	defer cancel()
	conn, _, err := dialer.DialContext(ctx, strings.Replace(r.url, "http", "ws", 1)+forwardPath+"?port=7007", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(streamDeadline))
	for channel := range 2 { // both channels begin with the port
		_, message, err := conn.ReadMessage()
		if err != nil || message[0] != byte(channel) || binary.LittleEndian.Uint16(message[1:]) != 7007 {
			t.Fatalf("got %v, %v", message, err)
		}
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, []byte("\x00hello")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := conn.ReadMessage(); err != nil || string(message) != "\x00hello" {
		t.Errorf("got %q, %v", message, err)
	}
}

func TestPortForwardThatIsRefused(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		path   string
		status int
		words  string
	}{
		{"/portForward/default/nope", 404, "pod does not exist"},
		{forwardPath + "/other-uid", 404, "pod not found"},
		{forwardPath, 500, `pod not found ("web_default")`},
	} {
		if status, body := r.get(t, c.path); status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("GET %s: got %d %q, want %d %q", c.path, status, body, c.status, c.words)
		}
	}
}
