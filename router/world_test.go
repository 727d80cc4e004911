package router

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"
)

// world is a router over a fake API, with HTTP servers of the test as pods.
type world struct {
	testing.TB
	client *fake.Clientset
	router *Router
	ports  Ports
	events *record.FakeRecorder
}

// newWorld runs a router on two free ports until the test ends.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, client: fake.NewClientset(), events: record.NewFakeRecorder(100), ports: freePorts(t)}
	shared := informers.NewSharedInformerFactory(w.client, 0)
	var err error
	w.router, err = New(w.client, shared, Options{Ports: w.ports, Certificate: func(host string) (*tls.Certificate, error) {
		return selfSigned(host, time.Now().Add(time.Hour*24*365))
	}, Recorder: w.events})
	if err != nil {
		t.Fatal(err)
	}
	w.run(w.router, shared)
	return w
}

// run lets a router run until the test ends.
func (w *world) run(r *Router, shared informers.SharedInformerFactory) {
	ctx, cancel := context.WithCancel(context.Background())
	shared.Start(ctx.Done())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("Run: %v", err)
		}
		shared.Shutdown()
	})
}

// freePorts are two that nobody has now.
func freePorts(t testing.TB) Ports {
	t.Helper()
	var ports [2]uint16
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return Ports{ports[0], ports[1]}
}

// service makes a Service whose port 80 leads to the servers. It replaces the one that is there.
func (w *world) service(name string, protocol string, pods ...*httptest.Server) {
	w.Helper()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	svc.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80}}
	if protocol != "" {
		svc.Spec.Ports[0].AppProtocol = &protocol
	}
	w.must(w.client.Tracker().Add(svc))
	for i, pod := range pods {
		w.slice(name, i, pod, true)
	}
}

// slice makes or replaces the EndpointSlice of the nth pod of a Service.
func (w *world) slice(service string, n int, pod *httptest.Server, ready bool) {
	w.Helper()
	host, port, err := net.SplitHostPort(pod.Listener.Addr().String())
	w.must(err)
	number, err := strconv.Atoi(port)
	w.must(err)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint(service, "-", n), Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(number)), Protocol: ptr.To(corev1.ProtocolTCP)}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{host}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}
	slices := w.client.DiscoveryV1().EndpointSlices("default")
	if _, err = slices.Update(w.Context(), slice, metav1.UpdateOptions{}); err != nil {
		_, err = slices.Create(w.Context(), slice, metav1.CreateOptions{})
	}
	w.must(err)
}

// ingress makes one of YAML and waits until it is served.
func (w *world) ingress(text string) *networkingv1.Ingress {
	w.Helper()
	ingress := parseIngresses(w.TB, text)[0]
	_, err := w.client.NetworkingV1().Ingresses("default").Create(w.Context(), ingress, metav1.CreateOptions{})
	w.must(err)
	w.eventually("the Ingress "+ingress.Name+" has a status", func() error {
		got, err := w.client.NetworkingV1().Ingresses("default").Get(w.Context(), ingress.Name, metav1.GetOptions{})
		if err == nil && len(got.Status.LoadBalancer.Ingress) == 0 {
			return fmt.Errorf("it has none")
		}
		return err
	})
	return ingress
}

// toAll leads everything under a host to a Service.
func toAll(host, service string) string {
	return fmt.Sprintf("metadata: {name: %s}\nspec: {rules: [{host: %s, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %s, port: {number: 80}}}}]}}]}", service, host, service)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// eventually waits for what is asynchronous.
func (w *world) eventually(what string, check func() error) {
	w.Helper()
	var last error
	err := wait.PollUntilContextTimeout(w.Context(), 5*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		w.Fatalf("%s: %v", what, last)
	}
}

// client dials the router whatever host a URL names, and verifies no certificate.
func (w *world) httpClient() *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				port := w.ports.HTTP
				if strings.HasSuffix(address, ":443") {
					port = w.ports.HTTPS
				}
				return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
			},
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100,
		},
	}
}

// do sends a request and reads the whole answer.
func (w *world) do(r *http.Request) (*http.Response, string) {
	w.Helper()
	response, err := w.httpClient().Do(r)
	w.must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	w.must(err)
	return response, string(body)
}

func (w *world) get(url string) (*http.Response, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, url, nil)
	w.must(err)
	return w.do(r)
}

// pod is an HTTP server that answers with its name, unless it has a handler of its own.
func (w *world) pod(name string, handler http.HandlerFunc) *httptest.Server {
	if handler == nil {
		handler = func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, name) }
	}
	server := httptest.NewServer(handler)
	w.Cleanup(server.Close)
	return server
}

// selfSigned is a certificate that nobody trusts.
func selfSigned(host string, until time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
