package router

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

func TestPodsGetRequestsAsTheyWereSent(t *testing.T) {
	w := newWorld(t)
	var got *http.Request
	w.service("web", "", w.pod("web", func(rw http.ResponseWriter, r *http.Request) {
		got = r
		rw.Header()["Date"] = nil
		rw.Header().Set("X-Answer", "42")
		rw.WriteHeader(http.StatusTeapot)
	}))
	w.ingress(toAll("web.localhost", "web"))
	r, err := http.NewRequest(http.MethodDelete, "http://web.localhost/a%2Fb//../c?x=1;y=%zz&z", nil)
	w.must(err)
	for name, value := range map[string]string{
		"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil", "X-Real-Ip": "6.6.6.6", "Forwarded": "for=6.6.6.6",
		"Connection": "x-hop, x-real-ip", "X-Hop": "gone", "Upgrade": "h2c", "Http2-Settings": "x", "X-Own": "kept", "User-Agent": "",
	} {
		r.Header.Set(name, value)
	}
	response, _ := w.do(r)
	if response.StatusCode != http.StatusTeapot || response.Header.Get("X-Answer") != "42" {
		t.Errorf("the answer is %s with %v", response.Status, response.Header)
	}
	if got.RequestURI != "/a%2Fb//../c?x=1;y=%zz&z" || got.Method != http.MethodDelete || got.Host != "web.localhost" {
		t.Errorf("the pod got %s %s %s", got.Method, got.Host, got.RequestURI)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "web.localhost", "X-Forwarded-Proto": "http", "X-Real-Ip": "127.0.0.1",
		"X-Forwarded-Port": fmt.Sprint(w.ports.HTTP), "X-Hop": "", "Upgrade": "", "Connection": "", "Http2-Settings": "", "Forwarded": "",
		"X-Own": "kept", "User-Agent": "", "Accept-Encoding": "gzip", // the test's own client asks for it
	} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("the pod got %s: %q, want %q", name, got, want)
		}
	}
}

func TestAnswersWithoutAPodSayWhy(t *testing.T) {
	w := newWorld(t)
	gone := w.pod("gone", nil)
	w.service("down", "", gone)
	gone.Close()
	w.service("empty", "")
	w.ingress(toAll("empty.localhost", "empty"))
	w.ingress(toAll("down.localhost", "down"))
	w.ingress(toAll("nowhere.localhost", "nowhere"))
	for url, want := range map[string]string{
		"http://empty.localhost":   "503 kube-lite: Ingress default/empty: Service default/empty: no pod of it is ready\n",
		"http://nowhere.localhost": "503 kube-lite: Ingress default/nowhere: the Service default/nowhere does not exist\n",
		"http://down.localhost":    fmt.Sprintf("502 kube-lite: Ingress default/down: Service default/down: endpoint %[1]s: dial tcp %[1]s: connect: connection refused\n", gone.Listener.Addr()),
		"http://typo.localhost/x":  `404 kube-lite: no Ingress has a rule for the host "typo.localhost" and the path "/x"; there are rules for down.localhost, empty.localhost, nowhere.localhost` + "\n",
	} {
		response, body := w.get(url)
		if got := fmt.Sprint(response.StatusCode, " ", body); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestBodiesAreLimitedAsDeclared(t *testing.T) {
	w := newWorld(t)
	w.service("web", "", w.pod("web", func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(rw, n, err)
	}))
	w.ingress(strings.Replace(toAll("web.localhost", "web"), "{name: web}", `{name: web, annotations: {nginx.ingress.kubernetes.io/proxy-body-size: 1k}}`, 1))
	for _, c := range []struct {
		size    int
		chunked bool
		want    int
	}{{1024, false, 200}, {1024, true, 200}, {1025, false, 413}, {1 << 20, true, 413}} {
		var body io.Reader = bytes.NewReader(make([]byte, c.size))
		if c.chunked {
			body = io.MultiReader(body) // a length that the client does not know
		}
		r, err := http.NewRequest(http.MethodPost, "http://web.localhost", body)
		w.must(err)
		if response, text := w.do(r); response.StatusCode != c.want {
			t.Errorf("%+v: %s %s", c, response.Status, text)
		}
	}
}

func TestLargeBodiesPassInLittleMemory(t *testing.T) {
	const size = 256 << 20
	w := newWorld(t)
	w.service("web", "", w.pod("web", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/octet-stream")
		w.must(http.NewResponseController(rw).EnableFullDuplex())
		_, _ = io.Copy(rw, r.Body) // both ways at once
	}))
	w.ingress(toAll("web.localhost", "web"))
	r, err := http.NewRequest(http.MethodPost, "http://web.localhost", io.LimitReader(zeros{}, size))
	w.must(err)
	client := w.httpClient()
	client.Timeout = 0
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	response, err := client.Do(r)
	w.must(err)
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	goruntime.ReadMemStats(&after)
	if n != size || err != nil {
		t.Errorf("%d bytes came back: %v", n, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("client, router and pod took %d bytes of memory", grown)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHostsHaveTheirCertificates(t *testing.T) {
	w := newWorld(t)
	w.service("web", "", w.pod("web", func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, r.Header.Get("X-Forwarded-Proto")) }))
	own, err := selfSigned("from.secret", time.Now().Add(time.Hour))
	w.must(err)
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	w.must(err)
	ingress := toAll("web.localhost", "web")
	w.ingress(strings.Replace(ingress, "spec: {", "spec: {tls: [{hosts: [web.localhost], secretName: cert}, {hosts: [other.localhost]}], ", 1))
	if response, _ := w.get("http://web.localhost/a?b"); response.StatusCode != http.StatusPermanentRedirect ||
		response.Header.Get("Location") != fmt.Sprintf("https://web.localhost:%d/a?b", w.ports.HTTPS) {
		t.Errorf("without TLS: %s to %s", response.Status, response.Header.Get("Location"))
	}
	certified := func(host string) string {
		response, body := w.get("https://" + host)
		if host == "web.localhost" && body != "https" {
			t.Errorf("the pod was told %s %q", response.Status, body)
		}
		return response.TLS.PeerCertificates[0].DNSNames[0]
	}
	if got := certified("web.localhost"); got != "web.localhost" {
		t.Errorf("without its Secret the host has the certificate of %s", got)
	}
	w.must(w.client.Tracker().Add(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cert", ResourceVersion: "1"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		},
	}))
	w.eventually("the Secret's certificate is served", func() error {
		if got := certified("web.localhost"); got != "from.secret" {
			return errors.New(got)
		}
		return nil
	})
	if got := certified("other.localhost"); got != "other.localhost" {
		t.Errorf("a host without a Secret has the certificate of %s", got)
	}
}

func TestKeysOfSecretsThatNoIngressNeedsAreForgotten(t *testing.T) {
	secrets := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	if err := secrets.Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "cert", ResourceVersion: "1"}}); err != nil {
		t.Fatal(err)
	}
	s := &secretCertificates{secrets: corelisters.NewSecretLister(secrets), used: map[string]parsedCertificate{}}
	for _, needed := range []int{1, 1, 0} {
		for range needed {
			if _, err := s.get("default", "cert"); err == nil {
				t.Error("an empty Secret holds a certificate")
			}
		}
		if s.retain(); len(s.parsed) != needed {
			t.Errorf("of %d Secrets that are needed %d are kept", needed, len(s.parsed))
		}
	}
}

func TestWebSocketsPass(t *testing.T) {
	w := newWorld(t)
	w.service("web", "", w.pod("web", func(rw http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, append([]byte("echo "), message...)) != nil {
				return
			}
		}
	}))
	w.ingress(toAll("web.localhost", "web"))
	for _, scheme := range []string{"ws", "wss"} {
		dialer := websocket.Dialer{NetDialContext: w.httpClient().Transport.(*http.Transport).DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		conn, _, err := dialer.DialContext(t.Context(), scheme+"://web.localhost/socket", nil)
		w.must(err)
		defer conn.Close() // after the router's end, which waits for no client
		for _, text := range []string{"one", "two"} {
			w.must(conn.WriteMessage(websocket.TextMessage, []byte(text)))
			if _, got, err := conn.ReadMessage(); err != nil || string(got) != "echo "+text {
				t.Errorf("%s: %q, %v", scheme, got, err)
			}
		}
	}
}

func TestGRPCPasses(t *testing.T) {
	w := newWorld(t)
	service := health.NewServer()
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, service)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	w.service("health", "", &httptest.Server{Listener: l})
	w.ingress(strings.Replace(toAll("health.localhost", "health"), "{name: health}", `{name: health, annotations: {nginx.ingress.kubernetes.io/backend-protocol: GRPC}}`, 1))
	for _, c := range []struct {
		port        uint16
		credentials credentials.TransportCredentials
	}{
		{w.ports.HTTP, insecure.NewCredentials()},
		{w.ports.HTTPS, credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, ServerName: "health.localhost"})},
	} {
		conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", c.port), grpc.WithTransportCredentials(c.credentials), grpc.WithAuthority("health.localhost"))
		w.must(err)
		defer conn.Close()
		client := healthv1.NewHealthClient(conn)
		if got, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil || got.Status != healthv1.HealthCheckResponse_SERVING {
			t.Fatalf("port %d: %v, %v", c.port, got, err)
		}
		// What has failed is in trailers without anything before them.
		for range 100 {
			if _, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "nobody"}); err == nil || !strings.Contains(err.Error(), "NotFound") {
				t.Fatalf("port %d: a service that is not there: %v", c.port, err)
			}
		}
		// A stream has its messages one by one.
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		stream, err := client.Watch(ctx, &healthv1.HealthCheckRequest{})
		w.must(err)
		for _, want := range []healthv1.HealthCheckResponse_ServingStatus{1, 2, 1} {
			service.SetServingStatus("", want)
			if got, err := stream.Recv(); err != nil || got.Status != want {
				t.Fatalf("port %d: the stream had %v, %v; want %v", c.port, got, err, want)
			}
		}
	}
}

func TestNothingOfAnAnswerIsHeldBack(t *testing.T) {
	w := newWorld(t)
	more := make(chan struct{})
	w.service("web", "", w.pod("web", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "6")
		for _, part := range []string{"one", "two"} {
			fmt.Fprint(rw, part)
			rw.(http.Flusher).Flush()
			<-more
		}
	}))
	w.ingress(toAll("web.localhost", "web"))
	response, err := w.httpClient().Get("http://web.localhost")
	w.must(err)
	defer response.Body.Close()
	for _, want := range []string{"one", "two"} {
		part := make([]byte, 3)
		if _, err := io.ReadFull(response.Body, part); err != nil || string(part) != want {
			t.Errorf("%q, %v; want %q before the pod goes on", part, err, want)
		}
		more <- struct{}{}
	}
}

func TestARequestGoesOnToTheNextEndpoint(t *testing.T) {
	w := newWorld(t)
	echo := func(rw http.ResponseWriter, r *http.Request) { _, _ = io.Copy(rw, r.Body) }
	dead := w.pod("dead", nil)
	w.service("web", "", dead, w.pod("alive", echo), w.pod("alive too", echo))
	dead.Close()
	w.ingress(toAll("web.localhost", "web"))
	for i := range 20 {
		text := fmt.Sprint("request ", i)
		r, err := http.NewRequest(http.MethodPost, "http://web.localhost", strings.NewReader(text))
		w.must(err)
		if response, got := w.do(r); got != text {
			t.Errorf("%s: %s %q", text, response.Status, got)
		}
	}
}

// Pods come and go as in a rolling update: the new one is ready first, and the old one ends gracefully as soon as the API
// says so, whether the router has heard of it or not.
func TestChangesOfEndpointsLoseNoRequest(t *testing.T) {
	w := newWorld(t)
	pod := func(generation int) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, generation) }))
	}
	pods := []*httptest.Server{pod(0), pod(0)}
	w.service("web", "", pods...)
	w.ingress(toAll("web.localhost", "web"))
	var served atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		client := w.httpClient()
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				response, err := client.Get("http://web.localhost")
				if err != nil {
					t.Error(err)
					return
				}
				if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
					t.Errorf("%s %s: %v", response.Status, body, err)
				}
				_ = response.Body.Close()
				served.Add(1)
			}
		})
	}
	for generation := 1; generation <= 20; generation++ {
		n := generation % len(pods)
		old := pods[n]
		pods[n] = pod(generation)
		w.slice("web", n, pods[n], true)
		w.must(old.Config.Shutdown(t.Context()))
		enough := served.Load() + 50
		w.eventually("clients are served", func() error {
			if served.Load() < enough {
				return errors.New("they wait")
			}
			return nil
		})
	}
	close(stop)
	clients.Wait()
	for _, p := range pods {
		p.Close()
	}
}
