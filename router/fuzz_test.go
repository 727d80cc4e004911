package router

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzRequests sends bytes to a router that leads /public of the host a, and nothing else, to a pod. Whatever they are, the
// pod gets no request for another host or path than the route's, and the router goes on.
func FuzzRequests(f *testing.F) {
	const end = "GET /public/end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for _, seed := range []string{
		"GET /public HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /public HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /public HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /public/../admin HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /public/%2e%2e/admin HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://b/public HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /public HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET /public HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
		"GET /public\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /public?\x00 HTTP/1.1\r\nHost: a\r\nX: \r\n y\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	w := newWorld(f)
	stray := make(chan string, 1)
	w.service("web", "", w.pod("web", func(rw http.ResponseWriter, r *http.Request) {
		if hostname(r.Host) != "a" || !newPrefixPath("/public").matches(canonicalPath(r.URL.Path)) {
			select {
			case stray <- fmt.Sprint(r.Method, " ", r.Host, " ", r.RequestURI):
			default:
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	w.ingress(strings.Replace(toAll("a", "web"), "path: /", "path: /public", 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", w.ports.HTTP))
		if err != nil {
			t.Fatalf("the router is gone: %v", err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // a request that is not whole is waited for
		_, _ = conn.Write(append(data, end...))
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		select {
		case request := <-stray:
			t.Errorf("the pod got %s", request)
		default:
		}
	})
}
