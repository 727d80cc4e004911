package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// A port of the host leads to its pod from everywhere, as with a node's portmap plugin, and nowhere before the program listens.
func TestHostPortsLeadToTheirPod(t *testing.T) {
	ns := newNamespace(t, "hostport")
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	local, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	ns.apply(t, toolPod("web", `http-serve, ":8080", web`, fmt.Sprintf("{containerPort: 8080, hostPort: %d}", port),
		fmt.Sprintf("{name: local, containerPort: 8080, hostPort: %d, hostIP: 127.0.0.1}", local))+
		toolPod("packet", `udp-serve, ":5353", packet`, fmt.Sprintf("{containerPort: 5353, hostPort: %d, protocol: UDP}", port))+
		toolPod("client", "sleep"))
	ns.waitForPods(t, 3, "(web|packet|client)")
	host := ns.value(t, "nodes", "{.items[0].status.addresses[0].address}")
	for _, at := range []string{"127.0.0.1", host} {
		waitForAnswer(t, fmt.Sprintf("http://%s:%d", at, port), "web")
		eventually(t, func() error { return askUDP(fmt.Sprintf("%s:%d", at, port), "packet hello") })
	}
	for _, pod := range []string{"client", "web", "packet"} {
		ns.waitForTool(t, "web", pod, "http-get", fmt.Sprintf("http://%s:%d", host, port))
		ns.waitForTool(t, "packet hello", pod, "udp-get", fmt.Sprintf("%s:%d", host, port), "hello")
	}
	waitForAnswer(t, fmt.Sprintf("http://127.0.0.1:%d", local), "web")
	if conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", host, local), time.Second); err == nil {
		conn.Close()
		t.Errorf("a hostPort of 127.0.0.1 answers at %s", host)
	}

	t.Run("UDP follows a pod that is replaced", func(t *testing.T) {
		conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		eventually(t, func() error { return askOn(conn, "packet hello") })
		ns.must(t, "delete", "pod", "packet")
		ns.apply(t, toolPod("packet", `udp-serve, ":5353", another`, fmt.Sprintf("{containerPort: 5353, hostPort: %d, protocol: UDP}", port)))
		eventually(t, func() error { return askOn(conn, "another hello") })
	})
	t.Run("a pod that does not listen refuses", func(t *testing.T) {
		silent, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		ns.apply(t, toolPod("silent", "sleep", fmt.Sprintf("{containerPort: 8080, hostPort: %d}", silent)))
		ns.waitForPods(t, 4, "(web|packet|client|silent)")
		if conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", silent), atOnce); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v, %v", conn, err)
		}
	})
	t.Run("a port that a process has", func(t *testing.T) {
		other, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		taken := other.Addr().(*net.TCPAddr).Port
		ns.apply(t, toolPod("held", `http-serve, ":8080", held`, fmt.Sprintf("{containerPort: 8080, hostPort: %d}", taken)))
		eventually(t, func() error {
			shown := ns.must(t, "describe", "pod", "held")
			if want := fmt.Sprintf("hostPort %d/TCP is not served: ", taken); !strings.Contains(shown, want) || !strings.Contains(shown, "pid ") {
				return fmt.Errorf("describe has no %q:\n%s", want, shown)
			}
			return nil
		})
		other.Close()
		waitForAnswer(t, fmt.Sprintf("http://127.0.0.1:%d", taken), "held")
	})
}
