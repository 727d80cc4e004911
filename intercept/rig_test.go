package intercept

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// deadline is for what must happen some time.
const deadline = 20 * time.Second

// lines is a server that answers each line with its name and the line; port 0 is any.
func lines(t *testing.T, name, at string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				defer c.Close()
				for scanner := bufio.NewScanner(c); scanner.Scan(); {
					fmt.Fprintf(c, "%s %s\n", name, scanner.Text())
				}
			}()
		}
	}()
	return l
}

func addressOf(l net.Listener) netip.AddrPort {
	return netip.MustParseAddrPort(l.Addr().String())
}

// kernel is a Redirector whose rules the test reads.
type kernel struct {
	pods []netip.AddrPort
	fail error // of the next Redirect

	mu sync.Mutex // guards what follows
	to map[Port][]netip.AddrPort
}

func (k *kernel) Redirect(_ context.Context, port Port, to []netip.AddrPort, endpoints func([]netip.AddrPort)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	endpoints(k.pods)
	k.to[port] = to // also when it fails: nothing is sure then
	return k.fail
}

func (k *kernel) Restore(_ context.Context, port Port) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.to, port)
	return nil
}

// leads is where new connections to the port go.
func (k *kernel) leads(port Port) (to netip.AddrPort, redirected bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if to, redirected := k.to[port]; redirected {
		return to[0], true
	}
	return k.pods[0], false
}

// rig is a Room over a Service default/web, whose pods the test serves.
type rig struct {
	*testing.T
	room   *Room
	kernel *kernel
	stop   func() // ends Run, and waits for it
}

var webPort = Port{"default", "web", "http"}

func newRig(t *testing.T, pods ...net.Listener) *rig {
	t.Helper()
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	if err := store.Add(web()); err != nil {
		t.Fatal(err)
	}
	k := &kernel{to: map[Port][]netip.AddrPort{}}
	for _, p := range pods {
		k.pods = append(k.pods, addressOf(p))
	}
	r := &rig{t, New(corelisters.NewServiceLister(store), k, Options{
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Domain: "cluster.local", DNS: netip.MustParseAddr("10.96.0.10"),
		Log: slog.New(slog.DiscardHandler),
	}), k, nil}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.room.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(deadline):
			t.Error("Run never ended")
		}
	})
	t.Cleanup(r.stop)
	return r
}

func web() *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	svc.Spec.ClusterIP, svc.Spec.ClusterIPs = "10.96.0.2", []string{"10.96.0.2"}
	svc.Spec.Ports = []corev1.ServicePort{
		{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, NodePort: 30080}, {Name: "admin", Port: 81, Protocol: corev1.ProtocolTCP},
		{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP},
	}
	return svc
}

// active is an intercept that a rig has begun.
type active struct {
	events chan Event
	end    func() error
}

// intercept begins one, and returns when it is in force.
func (r *rig) intercept(request Request) (active, Event) {
	r.Helper()
	request.Namespace, request.Service = "default", "web"
	ctx, cancel := context.WithCancel(context.Background())
	a, done := active{events: make(chan Event, 100)}, make(chan error, 1)
	go func() {
		done <- r.room.Intercept(ctx, request, func(e Event) error { a.events <- e; return nil })
	}()
	a.end = sync.OnceValue(func() error { cancel(); return <-done })
	r.Cleanup(func() { _ = a.end() })
	select {
	case e := <-a.events:
		return a, e
	case err := <-done:
		r.Fatalf("the intercept of %v never was in force: %v", request, err)
	case <-time.After(deadline):
		r.Fatal("the intercept never was in force")
	}
	panic("unreachable")
}

// connection is one of a client to default/web.
type connection struct {
	net.Conn
	*bufio.Reader
}

func (r *rig) connect() *connection {
	r.Helper()
	to, _ := r.kernel.leads(webPort)
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(deadline))
	return &connection{c, bufio.NewReader(c)}
}

// says sends a line and returns the answer.
func (c *connection) says(line string) string {
	if _, err := fmt.Fprintln(c.Conn, line); err != nil {
		return err.Error()
	}
	answer, err := c.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	return strings.TrimSpace(answer)
}

// answered connects once and tells who answers.
func (r *rig) answered(by string) {
	r.Helper()
	if got := r.connect().says("hello"); got != by+" hello" {
		r.Errorf("answered by %q, want %s", got, by)
	}
}
