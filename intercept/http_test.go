package intercept

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answering is a server of HTTP/1.1 and HTTP/2 without TLS that answers with its name, its protocol, what a proxy has said
// and the body, and speaks in lines after an upgrade.
func answering(t *testing.T, name string) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %q %s %s", name, r.Proto, r.Header.Values("X-Forwarded-For"), r.URL.RequestURI(), body)
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for line, err := buffered.ReadString('\n'); err == nil; line, err = buffered.ReadString('\n') {
			fmt.Fprintf(conn, "%s %s", name, line)
		}
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// send makes a request to default/web, whatever its URL says, with headers "KEY: VALUE".
func (r *rig) send(two bool, body string, headers ...string) string {
	r.Helper()
	to, _ := r.kernel.leads(webPort)
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	}}
	defer transport.CloseIdleConnections()
	transport.Protocols.SetHTTP1(!two)
	transport.Protocols.SetUnencryptedHTTP2(two)
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://web.default/a%2Fb?q=;", strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for _, text := range headers {
		key, value, _ := strings.Cut(text, ": ")
		request.Header.Add(key, value)
	}
	response, err := (&http.Client{Transport: transport, Timeout: deadline}).Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(answer)
}

func TestRequestsWithTheHeaderGoToTheProcess(t *testing.T) {
	process, pod := answering(t, "process"), answering(t, "pod")
	r := newRig(t, pod.Listener)
	a, first := r.intercept(Request{Port: "http", To: process.Listener.Addr().String(), Headers: []string{"x-user=me", "X-Env=a=b"}})
	if want := " with x-user=me, X-Env=a=b"; !strings.HasSuffix(first.Intercept.String(), want) {
		t.Errorf("it is %s", first.Intercept)
	}
	check := func(want string, two bool, headers ...string) {
		t.Helper()
		if got := r.send(two, "body", headers...); got != want {
			t.Errorf("with %q: got %s, want %s", headers, got, want)
		}
	}
	const rest = ` [] /a%2Fb?q=; body`
	check("process HTTP/1.1"+rest, false, "X-User: me", "x-env: a=b")
	check("process HTTP/1.1"+rest, false, "X-User: you", "X-User: me", "x-env: a=b")
	check("process HTTP/2.0"+rest, true, "x-user: me", "x-env: a=b")
	check("pod HTTP/1.1"+rest, false)
	check("pod HTTP/1.1"+rest, false, "x-user: me")
	check("pod HTTP/1.1"+rest, false, "x-user: ME", "x-env: a=b")
	check("pod HTTP/2.0"+rest, true, "x-user: you", "x-env: a=b")
	check(`pod HTTP/1.1 ["1.2.3.4"] /a%2Fb?q=; body`, false, "X-Forwarded-For: 1.2.3.4")
	process.Close()
	check("pod HTTP/1.1"+rest, false, "X-User: me", "x-env: a=b") // and the body is not lost
	check("pod HTTP/2.0"+rest, true, "X-User: me", "x-env: a=b")
	if e := <-a.events; e.State != ToPods {
		t.Errorf("told %+v", e)
	}
	pod.Close()
	if got := r.send(false, "body"); !strings.HasPrefix(got, "kube-lite: intercept: ") {
		t.Errorf("with nobody: got %s", got)
	}
}

func TestUpgradedConnectionsOutliveTheIntercept(t *testing.T) {
	process, pod := answering(t, "process"), answering(t, "pod")
	r := newRig(t, pod.Listener)
	a, _ := r.intercept(Request{Port: "http", To: process.Listener.Addr().String(), Headers: []string{"x-user=me"}})
	upgrade := func(header string) *connection {
		t.Helper()
		c := r.connect()
		fmt.Fprintf(c.Conn, "GET /ws HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n", header)
		response, err := http.ReadResponse(c.Reader, nil)
		if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %v, %v", response, err)
		}
		return c
	}
	mine, others := upgrade("X-User: me\r\n"), upgrade("")
	if got := mine.says("hello"); got != "process hello" {
		t.Errorf("mine: %s", got)
	}
	if err := a.end(); err != nil {
		t.Error(err)
	}
	if got := others.says("hello"); got != "pod hello" {
		t.Errorf("others': %s", got)
	}
	if got := mine.says("still"); got != "process still" {
		t.Errorf("mine, after the end: %s", got)
	}
	r.stop()
	if got := mine.says("still"); got == "process still" {
		t.Error("a connection has outlived the room")
	}
}

// A client that keeps its connection would otherwise stay with the process for ever.
func TestKeptConnectionsReturnToThePods(t *testing.T) {
	process, pod := answering(t, "process"), answering(t, "pod")
	r := newRig(t, pod.Listener)
	a, _ := r.intercept(Request{Port: "http", To: process.Listener.Addr().String(), Headers: []string{"x-user=me"}})
	c := r.connect()
	get := func() error {
		fmt.Fprintf(c.Conn, "GET / HTTP/1.1\r\nHost: web\r\n\r\n")
		response, err := http.ReadResponse(c.Reader, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	if err := a.end(); err != nil {
		t.Error(err)
	}
	_ = c.SetDeadline(time.Now().Add(deadline))
	if _, err := bufio.NewReader(c.Conn).ReadByte(); err != io.EOF {
		t.Errorf("got %v, want that the connection is closed", err)
	}
}
