package netproxy

import (
	"context"
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// recorded is a backend that remembers what it was told.
type recorded struct {
	changed []string
	want    *desired
}

func (r *recorded) apply(_ context.Context, want *desired, c changes) (uint32, error) {
	r.changed, r.want = nil, want
	for _, name := range slices.SortedFunc(maps.Keys(c.services), compareNames) {
		r.changed = append(r.changed, name.Name)
	}
	return 0, nil
}

func (r *recorded) verify(context.Context) (bool, error) { return true, nil }

// observing is a Proxy whose passes the test makes, over informers that the test fills.
func observing(t *testing.T) (*Proxy, *recorded, informers.SharedInformerFactory) {
	needKernel(t)
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	opts := testOptions("test", testBridge)
	opts.Kernel = kernelOf(t, ModeIPTables, opts)
	p, err := New(factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices(), factory.Core().V1().Pods(), opts)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorded{}
	p.sides[0].backend, p.hostReady = r, true
	t.Cleanup(func() { p.ports.reserve(nil); p.loopback6.reserve(nil) })
	return p, r, factory
}

func TestAPassReadsWhatChanged(t *testing.T) {
	p, r, factory := observing(t)
	services, eps := factory.Core().V1().Services().Informer().GetStore(), factory.Discovery().V1().EndpointSlices().Informer().GetStore()
	handler := p.objectHandler()
	pass := func(want ...string) {
		t.Helper()
		if err := p.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.changed, want) {
			t.Errorf("changed %v, want %v", r.changed, want)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		s, e := svc(name, "10.96.1."+string(name[0]-'a'+'1'), "80/TCP"), slice(name, ports("8080/TCP"), podA)
		_, _ = services.Add(s), eps.Add(e)
		handler.OnAdd(s, true)
		handler.OnAdd(e, true)
	}
	pass("a", "b", "c")
	pass()
	before, after := slice("b", ports("8080/TCP"), podA), slice("b", ports("8080/TCP"), podB)
	_ = eps.Update(after)
	handler.OnUpdate(before, after)
	pass("b")
	handler.OnUpdate(after, after) // nothing of it matters
	pass()
	gone := svc("a", "10.96.1.1", "80/TCP")
	_ = services.Delete(gone)
	handler.OnDelete(gone)
	pass("a")
	if _, there := r.want.services[types.NamespacedName{Namespace: "default", Name: "a"}]; there || len(r.want.services) != 2 {
		t.Errorf("wanted: %v", r.want.services)
	}
}

func TestWhatAPassFindsIsWhatExists(t *testing.T) {
	p, r, factory := observing(t)
	if err := p.FollowNodes(factory.Core().V1().Nodes()); err != nil {
		t.Fatal(err)
	}
	for _, n := range worldNodes(ipv4) {
		_ = factory.Core().V1().Nodes().Informer().GetStore().Add(n.object())
	}
	p.pending.addNodes()
	services, eps := worldObjects()
	for _, s := range services {
		_ = factory.Core().V1().Services().Informer().GetStore().Add(s)
		p.pending.addService(types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
	}
	for _, e := range eps {
		_ = factory.Discovery().V1().EndpointSlices().Informer().GetStore().Add(e)
	}
	if err := p.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := render(testSettings(), r.want.ports(), nil).String(), render(testSettings(), worldPorts(), nil).String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
