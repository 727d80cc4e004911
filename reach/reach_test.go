package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// Here 127.0.0.1 is a pod, 127.0.0.2 a ClusterIP, 127.0.0.3 the machine and 127.0.0.4 a load balancer.

var localhost = netip.MustParseAddr("127.0.0.3")

// rig is a Room over one Service, default/web, whose addresses are sockets of the test.
type rig struct {
	*testing.T
	room    *Room
	service *corev1.Service
	slice   *discoveryv1.EndpointSlice
	answer  []netip.Addr // of DNS
	leads   bool
	looks   atomic.Int32 // at the rules
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, leads: true, answer: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}
	meta := metav1.ObjectMeta{Namespace: "default", Name: "web"}
	r.service = &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		ClusterIP: "127.0.0.2", ClusterIPs: []string{"127.0.0.2"}, Ports: []corev1.ServicePort{{Protocol: corev1.ProtocolTCP}},
	}}
	meta.Labels = map[string]string{discoveryv1.LabelServiceName: "web"}
	r.slice = &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: ptr.To(int32(0))}}}
	index := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	services, eps := cache.NewIndexer(cache.MetaNamespaceKeyFunc, index), cache.NewIndexer(cache.MetaNamespaceKeyFunc, index)
	alias := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "alias"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}}
	if err := errors.Join(services.Add(r.service), services.Add(alias), eps.Add(r.slice)); err != nil {
		t.Fatal(err)
	}
	r.room = New(corelisters.NewServiceLister(services), discoverylisters.NewEndpointSliceLister(eps), Options{
		DNS: netip.MustParseAddrPort("10.96.0.10:53"), Domain: "cluster.local", NodeAddresses: []netip.Addr{localhost},
		Lookup: func(context.Context, netip.AddrPort, string) ([]netip.Addr, error) { return r.answer, nil },
		ReadBack: func(_ context.Context, at netip.AddrPort) (bool, string, error) {
			r.looks.Add(1)
			return r.leads, "rule for " + at.String(), nil
		},
	})
	r.room.pause = 0
	return r
}

// listen serves a free port of an address.
func (r *rig) listen(ip string) int32 {
	r.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { l.Close() })
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// endpoint adds one on port, and returns its text.
func (r *rig) endpoint(port int32, pod string, ready bool) string {
	r.slice.Ports[0].Port = &port
	r.slice.Endpoints = append(r.slice.Endpoints, discoveryv1.Endpoint{
		Addresses: []string{"127.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod},
	})
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// get is the answer of the HTTP API.
func (r *rig) get(path string) (code int, way Way) {
	r.Helper()
	w := httptest.NewRecorder()
	r.room.Handler().ServeHTTP(w, httptest.NewRequestWithContext(r.Context(), http.MethodGet, path, nil))
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &way); err != nil {
			r.Fatalf("%v: %s", err, w.Body)
		}
	}
	return w.Code, way
}

func TestTheWayIsSeenHopByHop(t *testing.T) {
	r := newRig(t)
	spec := &r.service.Spec
	spec.Ports[0].Port, spec.Ports[0].NodePort = r.listen("127.0.0.2"), r.listen("127.0.0.3")
	r.service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "127.0.0.4"}, {Hostname: "of.others"}}
	pod := r.endpoint(r.listen("127.0.0.1"), "web-1", true)
	r.endpoint(*r.slice.Ports[0].Port, "web-2", false)

	code, got := r.get("/reach/default/web")
	port, cluster := spec.Ports[0].Port, fmt.Sprintf("127.0.0.2:%d", spec.Ports[0].Port)
	want := Way{
		DNS: DNS{Server: "10.96.0.10:53", Name: "web.default.svc.cluster.local.", Want: r.answer, Answer: r.answer},
		Ports: []Port{{
			Port: port, Rules: []Rule{{Address: cluster, Leads: true, Seen: "rule for " + cluster}},
			Hops: []Hop{
				{Kind: Endpoint, Address: pod, Pod: "web-1"}, {Kind: ClusterIP, Address: cluster},
				{Kind: NodePort, Address: fmt.Sprintf("127.0.0.3:%d", spec.Ports[0].NodePort)},
				{Kind: LoadBalancer, Address: fmt.Sprintf("127.0.0.4:%d", port), Error: refused},
			},
		}},
	}
	if code != http.StatusOK || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %d %+v\nwant     %+v", code, got, want)
	}
	if n := r.looks.Load(); n != 2 {
		t.Errorf("what is not well is looked at %d times, want 2", n)
	}
}

func TestWhatIsWellIsSeenOnce(t *testing.T) {
	r := newRig(t)
	r.service.Spec.Ports[0].Port = r.listen("127.0.0.2")
	r.endpoint(r.listen("127.0.0.1"), "web", true)
	if _, got := r.get("/reach/default/web"); !got.well() || r.looks.Load() != 1 {
		t.Errorf("looked %d times at %+v", r.looks.Load(), got)
	}
	for name, damage := range map[string]func(){
		"rule": func() { r.leads = false },
		"DNS":  func() { r.leads, r.answer = true, nil },
	} {
		r.looks.Store(0)
		damage()
		if _, got := r.get("/reach/default/web"); got.well() || r.looks.Load() != 2 {
			t.Errorf("%s: looked %d times at %+v", name, r.looks.Load(), got)
		}
	}
}

func TestOnlyWhatIsThereIsTried(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig)
		want   string // kinds of hops, and how many rules
	}{
		"no ready endpoint": {func(r *rig) { r.slice.Endpoints = nil }, "0"},
		"headless":          {func(r *rig) { r.service.Spec.ClusterIP, r.service.Spec.ClusterIPs = "None", []string{"None"} }, "endpoint 0"},
		"served by another proxy": {func(r *rig) { r.service.Labels = map[string]string{proxyNameLabel: "mine"} },
			"endpoint clusterIP 0"},
		"an IP family without endpoints": {func(r *rig) { r.service.Spec.ClusterIPs = append(r.service.Spec.ClusterIPs, "::1") }, "endpoint clusterIP 1"},
		"many endpoints": {func(r *rig) {
			for n := range 30 {
				r.endpoint(1, fmt.Sprint("web-", n), true)
			}
		}, strings.Repeat("endpoint ", maxEndpoints) + "clusterIP 1"},
	} {
		r := newRig(t)
		r.endpoint(1, "web", true)
		c.change(r)
		code, got := r.get("/reach/default/web")
		var kinds []string
		for _, h := range got.Ports[0].Hops {
			kinds = append(kinds, string(h.Kind))
		}
		if text := strings.Join(append(kinds, fmt.Sprint(len(got.Ports[0].Rules))), " "); code != http.StatusOK || text != c.want {
			t.Errorf("%s: got %d %q, want %q", name, code, text, c.want)
		}
	}
	r := newRig(t)
	r.service.Spec.Ports[0].Protocol = corev1.ProtocolUDP
	if _, got := r.get("/reach/default/web"); len(got.Ports) != 0 {
		t.Errorf("UDP has ports of TCP: %+v", got)
	}
}

func TestAHeadlessNameStandsForItsReadyEndpoints(t *testing.T) {
	r := newRig(t)
	r.service.Spec.ClusterIP, r.service.Spec.ClusterIPs = "None", []string{"None"}
	r.answer = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	r.endpoint(r.listen("127.0.0.1"), "web", true)
	if _, got := r.get("/reach/default/web"); !got.well() {
		t.Errorf("got %+v", got)
	}
}

func TestWhatHasNoWayIsNotFound(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/reach/default/none", "/reach/default/alias", "/reach/default"} {
		if code, _ := r.get(path); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
}
