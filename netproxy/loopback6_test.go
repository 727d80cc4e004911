package netproxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// forward has [::1] lead to 127.0.0.1 at a port, unless this machine has no IPv6.
func forward(t *testing.T, protocol corev1.Protocol, port uint16) (at string, end func()) {
	t.Helper()
	f, err := openForwarder(nodePort{protocol, port, loopback6, netip.AddrPortFrom(loopback4, port)})
	if err != nil {
		t.Skipf("no [::1] here: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return netip.AddrPortFrom(loopback6, port).String(), func() { f.Close() }
}

func dial(t *testing.T, network, to string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestForwardedConnectionsEndAsTheirSidesDo(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	at, end := forward(t, corev1.ProtocolTCP, uint16(listener.Addr().(*net.TCPAddr).Port))
	meet := func() (client, server *net.TCPConn) {
		c := dial(t, "tcp6", at)
		s, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return c.(*net.TCPConn), s.(*net.TCPConn)
	}

	client, server := meet()
	fmt.Fprint(client, "a question")
	client.CloseWrite()
	if text, err := io.ReadAll(server); err != nil || string(text) != "a question" {
		t.Errorf("the server hears %q, %v", text, err)
	}
	fmt.Fprint(server, "an answer") // although the client has said all
	server.Close()
	if text, err := io.ReadAll(client); err != nil || string(text) != "an answer" {
		t.Errorf("the client hears %q, %v", text, err)
	}

	client, server = meet()
	server.SetLinger(0)
	server.Close()
	if _, err := io.ReadAll(client); err == nil {
		t.Error("a connection that the server resets ends as if it had said all")
	}

	client, _ = meet()
	listener.Close()
	if c, err := net.Dial("tcp6", at); err == nil { // else it is reset before the dial is over
		defer c.Close()
		if _, err := io.ReadAll(c); err == nil {
			t.Error("a connection to nobody ends as if somebody had said all")
		}
	} else if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a connection to nobody: %v", err)
	}
	end()
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that is open at the end: %v", err)
	}
	if c, err := net.Dial("tcp6", at); err == nil {
		c.Close()
		t.Error("the port is still held after the end")
	}
}

func TestForwardedDatagramsFindTheirClients(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buffer := make([]byte, 64)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = server.WriteTo([]byte(strings.ToUpper(string(buffer[:n]))), from)
		}
	}()
	at, end := forward(t, corev1.ProtocolUDP, uint16(server.LocalAddr().(*net.UDPAddr).Port))
	one, two := dial(t, "udp6", at), dial(t, "udp6", at)
	for range 2 {
		fmt.Fprint(one, "one")
		fmt.Fprint(two, "two")
		for c, want := range map[net.Conn]string{one: "ONE", two: "TWO"} {
			buffer := make([]byte, 64)
			if n, err := c.Read(buffer); err != nil || string(buffer[:n]) != want {
				t.Errorf("got %q, %v, want %s", buffer[:n], err, want)
			}
		}
	}
	end()
}

func TestWhatIsServedOnLocalhostIsServedAtItsIPv6Address(t *testing.T) {
	inEachMode(t, func(t *testing.T, l *lab) {
		l.servePods()
		l.start(testOptions("test", testBridge), world())
		ask := func(network, to string) string {
			c, err := net.Dial(network, to)
			if err != nil {
				return err.Error()
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(time.Second))
			if network == "udp6" {
				fmt.Fprint(c, "?")
			}
			buffer := make([]byte, 64)
			n, _ := c.Read(buffer)
			return string(buffer[:n])
		}
		for to, want := range map[string]string{
			"tcp6 [::1]:30081": "10.244.0.2:8080<-10.244.0.1", // a NodePort
			"tcp6 [::1]:8000":  "10.244.0.2:8080<-10.244.0.1", // a load balancer at 127.0.0.1
			"udp6 [::1]:30053": "10.244.0.",
		} {
			network, at, _ := strings.Cut(to, " ")
			eventually(t, to+" answers", func() bool { return strings.HasPrefix(ask(network, at), want) })
		}
		if got := ask("tcp6", "[::1]:8001"); !strings.Contains(got, "refused") {
			t.Errorf("a load balancer at 127.0.0.2 answers at [::1]: %s", got)
		}
	})
}
