package dns

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

var (
	createOptions = metav1.CreateOptions{}
	updateOptions = metav1.UpdateOptions{}
	deleteOptions = metav1.DeleteOptions{}
)

// TestAnswersFollowTheAPI changes one thing after the other and waits until the
// question is answered accordingly.
func TestAnswersFollowTheAPI(t *testing.T) {
	c := startCluster(t, nil, town()...)
	core, discovery := c.client.CoreV1(), c.client.DiscoveryV1()
	for _, step := range []struct {
		name     string
		change   func(context.Context) error
		question string
		want     []string // the data; nil for none
		rcode    int
	}{
		{"a Service is created", func(ctx context.Context) error {
			_, err := core.Services("default").Create(ctx, newClusterIP("default/new", "10.96.0.99"), createOptions)
			return err
		}, "new.default.svc.cluster.local. A", []string{"10.96.0.99"}, noError},
		{"its ClusterIP has a name", nil, "99.0.96.10.in-addr.arpa. PTR", []string{"new.default.svc.cluster.local."}, noError},
		{"it becomes an ExternalName", func(ctx context.Context) error {
			_, err := core.Services("default").Update(ctx, newExternalName("default/new", "echo.default.svc.cluster.local"), updateOptions)
			return err
		}, "new.default.svc.cluster.local. CNAME", []string{"echo.default.svc.cluster.local."}, noError},
		{"its ClusterIP has no name any more", nil, "99.0.96.10.in-addr.arpa. PTR", nil, servFail},
		{"it is deleted", func(ctx context.Context) error {
			return core.Services("default").Delete(ctx, "new", deleteOptions)
		}, "new.default.svc.cluster.local. A", nil, nxDomain},
		{"an endpoint comes", func(ctx context.Context) error {
			_, err := discovery.EndpointSlices("data").Update(ctx, newSlice("data/db", "a", named("db-0", "10.244.0.5"), ready("10.244.0.60")), updateOptions)
			return err
		}, "db.data.svc.cluster.local. A", []string{"10.244.0.5", "10.244.0.6", "10.244.0.60", "10.244.0.8"}, noError},
		{"an endpoint is no longer ready", func(ctx context.Context) error {
			_, err := discovery.EndpointSlices("data").Update(ctx, newSlice("data/db", "a", named("db-0", "10.244.0.5"), unready("10.244.0.60")), updateOptions)
			return err
		}, "db.data.svc.cluster.local. A", []string{"10.244.0.5", "10.244.0.6", "10.244.0.8"}, noError},
		{"a slice goes", func(ctx context.Context) error {
			return discovery.EndpointSlices("data").Delete(ctx, "db-b", deleteOptions)
		}, "db.data.svc.cluster.local. A", []string{"10.244.0.5"}, noError},
		{"a slice moves to another Service", func(ctx context.Context) error {
			slice := newSlice("data/idle", "x", named("db-0", "10.244.0.5"))
			slice.Name = "db-a"
			_, err := discovery.EndpointSlices("data").Update(ctx, slice, updateOptions)
			return err
		}, "idle.data.svc.cluster.local. A", []string{"10.244.0.5"}, noError},
		{"and leaves the first", nil, "db.data.svc.cluster.local. A", nil, noError},
		{"a namespace comes", func(ctx context.Context) error {
			_, err := core.Namespaces().Create(ctx, newNamespace("fresh"), createOptions)
			return err
		}, "fresh.svc.cluster.local. A", nil, noError},
		{"a namespace goes", func(ctx context.Context) error {
			return core.Namespaces().Delete(ctx, "fresh", deleteOptions)
		}, "fresh.svc.cluster.local. A", nil, nxDomain},
	} {
		if step.change != nil {
			if err := step.change(t.Context()); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
		}
		c.eventually(fmt.Sprintf("%s is %q after %s", step.question, step.want, step.name), func() bool {
			reply := c.ask("udp", step.question)
			return reply.Rcode == step.rcode && slices.Equal(data(reply), step.want)
		})
	}
}

func TestASnapshotInUseDoesNotChange(t *testing.T) {
	c := startCluster(t, nil, town()...)
	before := c.current.Load()
	find := func(snap *snapshot, question string) place { return c.find(snap, question) }
	if err := c.client.CoreV1().Services("default").Delete(t.Context(), "echo", deleteOptions); err != nil {
		t.Fatal(err)
	}
	c.eventually("the Service is gone", func() bool {
		return find(c.current.Load(), "echo.default.svc.cluster.local.").outcome == missing
	})
	for _, name := range []string{"echo.default.svc.cluster.local.", "20.0.96.10.in-addr.arpa."} {
		if find(before, name).outcome != exists {
			t.Errorf("%s vanished from a snapshot that readers may hold", name)
		}
	}
	other := "db.data.svc.cluster.local."
	if before.namespaces["data"] != c.current.Load().namespaces["data"] || find(before, other).outcome != exists {
		t.Error("a namespace without a change was copied")
	}
}

func TestAnEventWithoutAChangePublishesNothing(t *testing.T) {
	c := startCluster(t, nil, town()...)
	before := c.current.Load()
	c.watch.update(map[key]bool{{kindNamespace, "", "data"}: true})
	if c.current.Load() != before {
		t.Error("a new snapshot without a change")
	}
}

// unsynced is a running server whose informers have not been started.
func unsynced(t *testing.T, patience time.Duration) (*cluster, informers.SharedInformerFactory) {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(newClusterIP("default/echo", "10.96.0.20")), 0)
	server, err := New(factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices(), factory.Core().V1().Namespaces(),
		Options{Addr: "127.0.0.1:0", ResolvConf: filepath.Join(t.TempDir(), "none"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server.syncPatience = patience
	c := &cluster{Server: server, t: t}
	c.start()
	return c, factory
}

func TestWhatIsAskedBeforeTheFirstSnapshotWaitsForIt(t *testing.T) {
	c, factory := unsynced(t, patience)
	conn, err := dns.DialTimeout("udp", c.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.WriteMsg(newQuestion("echo.default.svc.cluster.local. A")); err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	t.Cleanup(factory.Shutdown)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if reply, err := conn.ReadMsg(); err != nil || len(reply.Answer) != 1 {
		t.Errorf("got %v\n%v", err, reply)
	}
}

func TestQuestionsDoNotWaitForEver(t *testing.T) {
	c, _ := unsynced(t, time.Nanosecond)
	if reply := c.ask("udp", "echo.default.svc.cluster.local. A"); reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("want SERVFAIL, got\n%v", reply)
	}
}
