package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// loopbackPod has a program on each loopback address, and none on any other.
const loopbackPod = `
apiVersion: v1
kind: Pod
metadata: {name: inside}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: four, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [http-serve, "127.0.0.1:8004", "over IPv4"]}
  - {name: six, image: "kube-lite-test/tool:latest", imagePullPolicy: Never, args: [http-serve, "[::1]:8006", "over IPv6"]}
`

// forward runs port-forward and returns the addresses on which it listens: 127.0.0.1 and ::1 on this machine. What it
// says of its connections is read until the test ends.
func (n namespace) forward(t *testing.T, target, port string) (v4, v6 string) {
	t.Helper()
	s := n.follow(t, "port-forward", target, ":"+port)
	address := func(host string) string {
		line := s.waitFor(t, "Forwarding from "+host+":")
		return strings.Fields(strings.TrimPrefix(line, "Forwarding from "))[0]
	}
	v4, v6 = address("127.0.0.1"), address("[::1]")
	go func() {
		for range s.lines {
		}
	}()
	return v4, v6
}

func TestPortForwardCarriesFiftyConnectionsAtOnce(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "forward")
	ns.apply(t, loopbackPod)
	ns.waitForPods(t, 1, "inside")
	v4, v6 := ns.forward(t, "pod/inside", "8004")
	const connections = 50
	conns, readers := make([]net.Conn, connections), make([]*bufio.Reader, connections)
	for i := range connections {
		address := v4
		if i%2 == 1 {
			address = v6
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i], readers[i] = conn, bufio.NewReader(conn)
	}
	for round := range 3 { // all are open until all have answered thrice
		for i, conn := range conns {
			if _, err := fmt.Fprintf(conn, "GET /%d/%d HTTP/1.1\r\nHost: inside\r\n\r\n", round, i); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
		for i, reader := range readers {
			if got, err := answer(reader); err != nil || got != "over IPv4\n" {
				t.Fatalf("connection %d, round %d: got %q, %v", i, round, got, err)
			}
		}
	}
	if got := ns.must(t, "logs", "inside", "-c", "four"); strings.Count(got, " from 127.0.0.1") != 3*connections {
		t.Errorf("the program saw %d requests, want %d", strings.Count(got, " from 127.0.0.1"), 3*connections)
	}
}

func answer(from *bufio.Reader) (string, error) {
	response, err := http.ReadResponse(from, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestPortForwardReachesAProgramThatListensOnIPv6LoopbackOnly(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "forward6")
	ns.apply(t, loopbackPod+`---
apiVersion: v1
kind: Service
metadata: {name: six}
spec: {selector: {app: six}, ports: [{port: 80, targetPort: 8006}]}
`)
	ns.must(t, "label", "pod", "inside", "app=six")
	ns.waitForPods(t, 1, "inside")
	for target, port := range map[string]string{"pod/inside": "8006", "service/six": "80"} {
		v4, v6 := ns.forward(t, target, port)
		for _, address := range []string{v4, v6} {
			waitForAnswer(t, "http://"+address, "over IPv6")
		}
	}
	got := ns.must(t, "logs", "inside", "-c", "six")
	if !strings.Contains(got, "from ::1") || strings.Contains(got, "from 127.0.0.1") {
		t.Errorf("the program saw %q", got)
	}
}

func TestPortForwardSaysThatNobodyListens(t *testing.T) {
	t.Parallel()
	ns := newNamespace(t, "forward-nobody")
	ns.apply(t, loopbackPod)
	ns.waitForPods(t, 1, "inside")
	term := ns.onTerminal(t, "port-forward", "pod/inside", ":8099", "--address=127.0.0.1")
	term.waitFor(t, "-> 8099")
	_, rest, _ := strings.Cut(term.shown(), "Forwarding from ")
	address, _, _ := strings.Cut(rest, " ")
	if _, _, err := get("http://" + address); err == nil {
		t.Error("got an answer")
	}
	term.waitFor(t, "dial tcp 127.0.0.1:8099: connect: connection refused")
	if code := term.exitCode(t); code != 1 {
		t.Errorf("exit code %d: %s", code, term.shown())
	}
}
