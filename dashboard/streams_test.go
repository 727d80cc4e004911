package dashboard

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// connect opens the page's connection for streams.
func (p client) connect(t *testing.T) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{streamsProtocol, tokenPrefix + p.token}}
	conn, response, err := dialer.Dial("ws"+strings.TrimPrefix(p.base, "http")+"/streams", http.Header{"Origin": {p.base}})
	if err != nil {
		t.Fatal(err, response)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if got := conn.Subprotocol(); got != streamsProtocol {
		t.Fatalf("the subprotocol is %q: the token must not come back", got)
	}
	return conn
}

// next reads a message.
func next(t *testing.T, conn *websocket.Conn) (m told) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(waitLimit))
	if err := conn.ReadJSON(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// collect reads a stream to its end.
func collect(t *testing.T, conn *websocket.Conn, id int) (lines []string, end ending) {
	t.Helper()
	for {
		m := next(t, conn)
		if m.ID != id {
			t.Fatalf("a message of stream %d: %v", m.ID, m)
		}
		lines = append(lines, m.Lines...)
		if m.End != nil {
			return lines, *m.End
		}
	}
}

func ask(t *testing.T, conn *websocket.Conn, message asked) {
	t.Helper()
	if err := conn.WriteJSON(message); err != nil {
		t.Fatal(err)
	}
}

// Every line arrives as it was, the last one without an end too, and long ones in one piece; then the end is told.
func TestStreamHasAllLines(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	r := newRig(t)
	r.api.HandleFunc("/api/v1/namespaces/shop/pods/web/log", func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "%s %s\n\n%s\n", req.Header.Get("Authorization"), req.URL.RawQuery, long)
		for n := range 5000 {
			fmt.Fprintf(w, "line %d\n", n)
		}
		fmt.Fprint(w, "no UTF-8: \xff")
	})
	conn := r.login(t, "jane").connect(t)
	ask(t, conn, asked{ID: 7, Path: "/api/v1/namespaces/shop/pods/web/log?follow=true"})
	lines, end := collect(t, conn, 7)
	if end.Code != http.StatusOK || len(lines) != 5004 {
		t.Fatalf("%d lines, then %v", len(lines), end)
	}
	for n, want := range map[int]string{0: "Bearer token-of-jane follow=true", 1: "", 2: long, 3: "line 0", 5002: "line 4999", 5003: "no UTF-8: \uFFFD"} {
		if lines[n] != want {
			t.Errorf("line %d is %.80q, want %.80q", n, lines[n], want)
		}
	}
}

// Many streams share the connection. One that is not allowed, not there, or no stream of the API's ends with the reason.
func TestStreamsShareAConnection(t *testing.T) {
	r := newRig(t)
	left := make(chan struct{})
	r.api.HandleFunc("/api/v1/pods", func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintln(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
		close(left)
	})
	r.api.HandleFunc("/api/v1/secrets", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusForbidden, "secrets are forbidden")
	})
	conn := r.login(t, "jane").connect(t)
	ask(t, conn, asked{ID: 1, Path: "/api/v1/pods?watch=true"})
	if m := next(t, conn); m.ID != 1 || len(m.Lines) != 1 || m.Lines[0] != "first" {
		t.Fatalf("the first message is %v", m)
	}
	ask(t, conn, asked{ID: 2, Path: "/api/v1/secrets?watch=true"})
	if _, end := collect(t, conn, 2); end != (ending{http.StatusForbidden, "secrets are forbidden"}) {
		t.Errorf("what is not allowed ends with %v", end)
	}
	for _, path := range []string{"/metrics", "@evil.example/api/v1/pods", ".evil.example/api"} {
		ask(t, conn, asked{ID: 3, Path: path})
		if _, end := collect(t, conn, 3); end.Code != http.StatusBadRequest {
			t.Errorf("%s ends with %v", path, end)
		}
	}
	ask(t, conn, asked{ID: 1, Close: true})
	if _, end := collect(t, conn, 1); end.Code == http.StatusForbidden {
		t.Errorf("what is left ends with %v", end)
	}
	select {
	case <-left:
	case <-time.After(waitLimit):
		t.Error("the API server is not told that nobody reads any more")
	}
}

// The streams of a page end with its session.
func TestStreamsEndWithTheSession(t *testing.T) {
	r := newRig(t)
	left := make(chan struct{})
	r.api.HandleFunc("/api/v1/pods", func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintln(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
		close(left)
	})
	jane, john := r.login(t, "jane"), r.login(t, "john")
	conn := jane.connect(t)
	ask(t, conn, asked{ID: 1, Path: "/api/v1/pods?watch=true"})
	next(t, conn)
	jane.ask(t, http.MethodDelete, "/session", "", http.StatusOK, nil)
	<-left
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			break // the server has closed it
		}
	}
	john.ask(t, http.MethodGet, "/session", "", http.StatusOK, nil)
}

func TestReadLineBoundsItself(t *testing.T) {
	text := strings.Repeat("y", maxLine+maxLine/2) + "\nrest"
	reader := bufio.NewReaderSize(strings.NewReader(text), 64<<10)
	var got strings.Builder
	for pieces := 0; ; pieces++ {
		line, err := readLine(reader)
		if len(line) > maxLine+64<<10 {
			t.Fatalf("a piece of %d bytes", len(line))
		}
		got.Write(line)
		if err != nil {
			if pieces < 2 {
				t.Errorf("it came in %d pieces", pieces)
			}
			break
		}
	}
	if want := strings.ReplaceAll(text, "\n", ""); got.String() != want {
		t.Errorf("%d bytes of %d arrived", got.Len(), len(want))
	}
}
