package dns

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// cluster is a Server over a fake API, running until the test ends.
type cluster struct {
	*Server
	t      testing.TB
	client *fake.Clientset
	conf   string // its resolv.conf
}

// startCluster runs a server whose API holds the objects and whose resolv.conf
// names the nameservers.
func startCluster(t testing.TB, nameservers []string, objects ...runtime.Object) *cluster {
	t.Helper()
	c := newCluster(t, Options{}, nameservers, objects...)
	c.start()
	c.eventually("the snapshot is complete", func() bool { return c.current.Load().complete })
	return c
}

// newCluster makes the server without running it.
func newCluster(t testing.TB, opts Options, nameservers []string, objects ...runtime.Object) *cluster {
	t.Helper()
	c := &cluster{t: t, client: fake.NewClientset(objects...), conf: filepath.Join(t.TempDir(), "resolv.conf")}
	c.writeResolvConf(nameservers...)
	factory := informers.NewSharedInformerFactory(c.client, 0)
	opts.Addr, opts.ResolvConf, opts.Log = "127.0.0.1:0", c.conf, slog.New(slog.DiscardHandler)
	server, err := New(factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices(),
		factory.Core().V1().Namespaces(), opts)
	if err != nil {
		t.Fatal(err)
	}
	c.Server = server
	ctx, cancel := context.WithCancel(context.Background())
	factory.Start(ctx.Done())
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
		server.Close()
	})
	return c
}

func (c *cluster) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	c.t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				c.t.Errorf("Run returned %v after its context ended", err)
			}
			if n := len(c.forward.slots); n != 0 {
				c.t.Errorf("Run returned while %d questions wait for upstream", n)
			}
		case <-time.After(patience):
			c.t.Error("Run did not return after its context ended")
		}
	})
}

func (c *cluster) writeResolvConf(nameservers ...string) {
	c.t.Helper()
	var text strings.Builder
	for _, ns := range nameservers {
		text.WriteString("nameserver " + ns + "\n")
	}
	if err := os.WriteFile(c.conf, []byte(text.String()), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) eventually(what string, condition func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited %v in vain until %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// ask sends one question, "name TYPE", over "udp" or "tcp".
func (c *cluster) ask(network, question string) *dns.Msg {
	c.t.Helper()
	return c.exchange(network, newQuestion(question))
}

func (c *cluster) exchange(network string, m *dns.Msg) *dns.Msg {
	c.t.Helper()
	client := &dns.Client{Net: network, Timeout: patience, UDPSize: dns.MinMsgSize}
	reply, _, err := client.Exchange(m, c.Addr().String())
	if err != nil {
		c.t.Fatalf("%v over %s: %v", m.Question, network, err)
	}
	return reply
}

func newQuestion(question string) *dns.Msg {
	name, rrtype, _ := strings.Cut(question, " ")
	return new(dns.Msg).SetQuestion(name, dns.StringToType[rrtype])
}

// lines are records as text with single spaces, sorted.
func lines(rrs []dns.RR) []string {
	var texts []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			texts = append(texts, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	slices.Sort(texts)
	return texts
}

func meta(name string) metav1.ObjectMeta {
	namespace, name, ok := strings.Cut(name, "/")
	if !ok {
		namespace, name = "", namespace
	}
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func newNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: meta(name)}
}

// newClusterIP is a Service with an address (or "None") and ports.
func newClusterIP(name, ip string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(name), Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: ip, ClusterIPs: []string{ip}, Ports: ports,
	}}
}

func newExternalName(name, target string) *corev1.Service {
	return &corev1.Service{ObjectMeta: meta(name), Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeExternalName, ExternalName: target,
	}}
}

func port(name string, protocol corev1.Protocol, number int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Protocol: protocol, Port: number}
}

// newSlice is an EndpointSlice "namespace/service" with a suffix to its name, and
// the TCP port http 8080.
func newSlice(service, suffix string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta(service + "-" + suffix), AddressType: discoveryv1.AddressTypeIPv4, Endpoints: endpoints}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: meta(service).Name}
	slice.Ports = []discoveryv1.EndpointPort{{Name: new("http"), Protocol: new(corev1.ProtocolTCP), Port: new(int32(8080))}}
	return slice
}

func ready(ip string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}
}

func unready(ip string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}}
}

func named(hostname, ip string) discoveryv1.Endpoint {
	endpoint := ready(ip)
	endpoint.Hostname = &hostname
	return endpoint
}

// data are the addresses and names of a reply's answer, sorted.
func data(reply *dns.Msg) []string {
	var texts []string
	for _, rr := range reply.Answer {
		texts = append(texts, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(texts)
	return texts
}
