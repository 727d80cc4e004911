package orchestrator_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// extension is another API server, as one in a pod would be: it believes whoever comes.
type extension struct {
	http.Handler
	watches atomic.Int32 // that are open
}

func (e *extension) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/openapi/") {
		http.NotFound(w, r) // what it takes a while to make, the aggregator would wait for before it lets go of the kinds
		return
	}
	if r.URL.Query().Has("watch") {
		e.watches.Add(1)
		defer e.watches.Add(-1)
	}
	e.Handler.ServeHTTP(w, r)
}

// extend has the kinds of test.example.com that other knows served by it. There are no rules for Services in this test: it is reached
// at its endpoint, which must not be a loopback address.
func (c *cluster) extend(other *cluster) *extension {
	t := c.t
	t.Helper()
	transport, err := rest.TransportFor(other.config)
	fatal(t, err)
	target, err := url.Parse(other.config.Host)
	fatal(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport, proxy.FlushInterval = transport, -1 // events go on at once
	e := &extension{Handler: proxy}
	listener, err := net.Listen("tcp4", net.JoinHostPort(ownAddress(t), "0"))
	fatal(t, err)
	server := httptest.NewUnstartedServer(e)
	server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections) // those of watches too, which Close would wait for

	at := listener.Addr().(*net.TCPAddr)
	_, err = c.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "extension"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 443}}},
	}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = c.client.DiscoveryV1().EndpointSlices("default").Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "extension-1", Labels: map[string]string{discoveryv1.LabelServiceName: "extension"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{at.IP.String()}}},
		Ports:       []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(at.Port))}},
	}, metav1.CreateOptions{})
	fatal(t, err)
	_, err = c.apiServices().Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1.test.example.com"},
		"spec": map[string]any{
			"group": "test.example.com", "version": "v1", "groupPriorityMinimum": int64(1000), "versionPriority": int64(15),
			"insecureSkipTLSVerify": true, "service": map[string]any{"namespace": "default", "name": "extension", "port": int64(443)},
		},
	}}, metav1.CreateOptions{})
	fatal(t, err)
	return e
}

func (c *cluster) apiServices() dynamic.ResourceInterface {
	c.t.Helper()
	objects, err := dynamic.NewForConfig(c.config)
	fatal(c.t, err)
	return objects.Resource(apiServices)
}

// ownAddress is one of this machine's.
func ownAddress(t testing.TB) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	fatal(t, err)
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address but the loopback's")
	return ""
}

// The kinds of a server that an APIService leads to are collected and counted as soon as they are there, and nobody watches
// them any longer when it has gone.
func TestKindsOfOtherServersAreNoticed(t *testing.T) {
	t.Parallel()
	other := newCluster(t)
	other.define("e")
	c := newKindsCluster(t)
	c.limit("default", "es")
	e := c.extend(other)
	c.awaitCounted("default", "es")
	objects, err := dynamic.NewForConfig(c.config)
	fatal(t, err)
	kind := objects.Resource(schema.GroupVersionResource{Group: "test.example.com", Version: "v1", Resource: "es"}).Namespace("default")
	eventually(t, func() error {
		list, err := kind.List(t.Context(), metav1.ListOptions{})
		if err == nil && len(list.Items) != 1 {
			err = fmt.Errorf("there are %d", len(list.Items))
		}
		return err
	})
	fatal(t, kind.Delete(t.Context(), "first", metav1.DeleteOptions{})) // define made it
	eventually(t, func() error {
		_, err := kind.Create(t.Context(), custom("e", "owned", c.owner("default", "far")), metav1.CreateOptions{})
		return err
	})
	c.awaitCollected(kind, "default", "far", "owned")
	if e.watches.Load() == 0 {
		t.Error("nobody watches the kind")
	}
	fatal(t, c.apiServices().Delete(t.Context(), "v1.test.example.com", metav1.DeleteOptions{}))
	eventually(t, func() error {
		if n := e.watches.Load(); n > 0 {
			return fmt.Errorf("%d still watch a kind that is gone", n)
		}
		return nil
	})
}
