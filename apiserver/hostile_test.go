package apiserver

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// hostile are clients that connect and then do not do their part.
type hostile struct {
	t      *testing.T
	server *testServer
	tls    *tls.Config
	client kubernetes.Interface // one that does
}

func newHostile(t *testing.T) *hostile {
	s := serve(t, t.TempDir())
	config, err := rest.TLSConfigFor(s.adminConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	config.ServerName = "127.0.0.1"
	return &hostile{t, s, config, s.Client()}
}

// connect opens a connection that lasts as long as the test; secure ones shake hands as the admin.
func (h *hostile) connect(secure bool) net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp4", h.server.addr.String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	// What is sent must not fit into the kernel's buffers, which grow to megabytes by themselves. Less than a few segments
	// of the loopback device makes a connection crawl.
	if err := conn.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		h.t.Fatal(err)
	}
	if !secure {
		return conn
	}
	encrypted := tls.Client(conn, h.tls)
	if err := encrypted.Handshake(); err != nil {
		h.t.Fatal(err)
	}
	return encrypted
}

// ask sends the beginning of a request, or a whole one, and reads nothing.
func (h *hostile) ask(request string) net.Conn {
	h.t.Helper()
	conn := h.connect(true)
	if _, err := io.WriteString(conn, request); err != nil {
		h.t.Fatal(err)
	}
	return conn
}

// othersAreServed makes requests as another client, over a connection of its own.
func (h *hostile) othersAreServed(while string) {
	h.t.Helper()
	config := rest.CopyConfig(h.server.adminConfig(h.t))
	config.Timeout = 30 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		h.t.Fatal(err)
	}
	for range 10 {
		if _, err := client.CoreV1().Namespaces().Get(h.t.Context(), "default", metav1.GetOptions{}); err != nil {
			h.t.Fatalf("another client, while %s: %v", while, err)
		}
	}
}

// memoryInUse is what the process keeps, in bytes: objects that are in use, and stacks.
func memoryInUse() uint64 {
	var m goruntime.MemStats
	goruntime.GC()
	goruntime.GC() // what had a finalizer or lay in a pool goes with the second
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func (h *hostile) costsAtMost(most, before uint64, what string) {
	h.t.Helper()
	if now := memoryInUse(); now > before+most {
		h.t.Errorf("%s cost %d MB, more than %d", what, (now-before)>>20, most>>20)
	}
}

// fill stores ConfigMaps with so many bytes each.
func (h *hostile) fill(count, size int) {
	h.t.Helper()
	for n := range count {
		if _, err := h.client.CoreV1().ConfigMaps("default").Create(h.t.Context(), configMap(fmt.Sprint("c", n), size), metav1.CreateOptions{}); err != nil {
			h.t.Fatal(err)
		}
	}
}

func configMap(name string, size int) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"a": strings.Repeat("x", size)}}
}

// Ten thousand connections, or as many as this process may open, both ends of each in it.
func TestIdleConnectionsCostLittle(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const others, secure = 1000, 200 // files that something else has open; a handshake costs a millisecond
	many := int(min(10_000, (limit.Cur-others)/2))
	h := newHostile(t)
	before := memoryInUse()
	for n := range many {
		h.connect(n < secure)
	}
	h.othersAreServed(fmt.Sprint(many, " connections are idle"))
	h.costsAtMost(uint64(many)*perConnection, before, fmt.Sprint(many, " idle connections"))
}

// perConnection is what both ends of a connection may cost: buffers of 4 KB, stacks of 8 KB, and the like of what TLS keeps.
const perConnection = 64 << 10

func TestClientsThatDoNotFinishTheirRequests(t *testing.T) {
	h := newHostile(t)
	before := memoryInUse()
	const many = 100
	for range many {
		h.ask(halfAHeader)
		h.ask("POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n{")
	}
	h.othersAreServed("requests are half sent")
	h.costsAtMost(2*many*2*perConnection, before, "half requests")
}

const halfAHeader = "GET /api HTTP/1.1\r\nHost: x\r\nX-Slow: "

// The server ends those that take longer than half a minute, which is upstream's constant: other tests go on meanwhile.
func TestHeadersThatDoNotEnd(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	var slow []net.Conn
	for range 10 {
		slow = append(slow, h.ask(halfAHeader))
	}
	for _, conn := range slow {
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
		if n, err := io.Copy(io.Discard, conn); err != nil {
			t.Fatalf("a connection whose request never ends got %d bytes, and then %v", n, err)
		}
	}
}

func TestClientsThatDoNotReadTheirLists(t *testing.T) {
	h := newHostile(t)
	const count, size, many = 500, 20_000, 20
	h.fill(count, size)
	before := memoryInUse()
	for range many {
		h.ask("GET /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n")
	}
	h.othersAreServed("lists are not read")
	h.costsAtMost(many*count*size*2, before, "lists that nobody reads")
}

// A watch that does not read is ended once the history has moved on. It misses nothing without being told.
func TestClientsThatDoNotReadTheirWatches(t *testing.T) {
	h := newHostile(t)
	const events, size, many = 1500, 8000, 20
	configMaps := h.client.CoreV1().ConfigMaps("default")
	if _, err := configMaps.Create(t.Context(), configMap("c", size), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var silent []net.Conn
	for range many {
		silent = append(silent, h.ask("GET /api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0 HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n"))
	}
	reader, err := configMaps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Stop()
	<-reader.ResultChan()
	before := memoryInUse()
	for n := range events {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"n":"%d"}}}`, n)
		if _, err := configMaps.Patch(t.Context(), "c", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if e := <-reader.ResultChan(); e.Type != watch.Modified || e.Object.(*corev1.ConfigMap).Labels["n"] != fmt.Sprint(n) {
			t.Fatalf("the watch that is read got %v at event %d", e, n)
		}
	}
	h.othersAreServed("watches are not read")
	h.costsAtMost(events*size*4, before, "watches that nobody reads") // each event for each watch would be 20 times
	for _, conn := range silent {
		if err := readToTheEnd(conn); err != nil {
			t.Error(err)
		}
	}
}

// readToTheEnd reads what a watch has been sent until the server ends it, and fails where an event is missing before that.
func readToTheEnd(conn net.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := json.NewDecoder(response.Body)
	for n := -1; ; n++ { // the first is that the object is there
		var e struct {
			Type   string
			Object struct {
				Metadata metav1.ObjectMeta
				Code     int
			}
		}
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF), e.Type == string(watch.Error) && e.Object.Code == http.StatusGone:
			return nil // the client knows that it must list again
		case err != nil:
			return fmt.Errorf("after event %d of a watch: %w", n-1, err)
		case n >= 0 && e.Object.Metadata.Labels["n"] != fmt.Sprint(n):
			return fmt.Errorf("after event %d of a watch came %v %v", n-1, e.Type, e.Object.Metadata.Labels)
		}
	}
}
