package orchestrator

import (
	"slices"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
)

var ships = schema.GroupVersionResource{Group: "sea.example.com", Version: "v1", Resource: "ships"}

func newShip(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "sea.example.com/v1", Kind: "Ship"}, ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
	}
}

// watcher monitors a kind as upstream does, and counts what it hears of.
type watcher struct {
	t       *testing.T
	m       *monitor
	stop    chan struct{}
	running sync.WaitGroup
	added   chan string
}

func monitorShips(t *testing.T, m *monitors) *watcher {
	t.Helper()
	shared, err := m.ForResource(ships)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, m: shared.(*monitor), stop: make(chan struct{}), added: make(chan string, 10)}
	_, _ = shared.Informer().AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { w.added <- obj.(*metav1.PartialObjectMetadata).Name },
	}, 0)
	return w
}

func (w *watcher) run() *watcher {
	w.running.Go(func() { w.m.GetController().Run(w.stop) })
	return w
}

func (w *watcher) end() {
	close(w.stop)
	w.running.Wait()
}

func (w *watcher) hears(name string) {
	w.t.Helper()
	select {
	case got := <-w.added:
		if got != name {
			w.t.Fatalf("the monitor hears of %s, not of %s", got, name)
		}
	case <-time.After(time.Minute):
		w.t.Fatalf("the monitor does not hear of %s", name)
	}
}

func newFakeMonitors() (*monitors, *fake.FakeMetadataClient) {
	scheme := fake.NewTestScheme()
	_ = metav1.AddMetaToScheme(scheme)
	client := fake.NewSimpleMetadataClient(scheme, newShip("gull"))
	return newMonitors(informers.NewSharedInformerFactory(kubefake.NewClientset(), 0), client), client
}

func TestTheInformerOfAKindRunsAsLongAsItsMonitors(t *testing.T) {
	all, client := newFakeMonitors()
	first, second := monitorShips(t, all).run(), monitorShips(t, all).run()
	first.hears("gull")
	second.hears("gull")
	if first.m.SharedIndexInformer != second.m.SharedIndexInformer {
		t.Error("each monitor has an informer of its own")
	}
	late := monitorShips(t, all) // which has the same informer, and runs when that has ended
	first.end()
	for !slices.ContainsFunc(client.Actions(), func(a clienttesting.Action) bool { return a.GetVerb() == "watch" }) {
		time.Sleep(time.Millisecond) // polls: the fake forgets what happens between list and watch
	}
	if _, err := client.Resource(ships).Namespace("default").(fake.MetadataClient).CreateFake(newShip("tern"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	second.hears("tern")
	second.end()
	if !second.m.IsStopped() || len(all.kinds) > 0 {
		t.Errorf("the informer has ended: %v; left are %v", second.m.IsStopped(), all.kinds)
	}
	if len(first.added) > 0 {
		t.Errorf("a monitor that has stopped hears of %s", <-first.added)
	}
	if late.m.HasSynced() {
		t.Error("a monitor that never ran has seen everything")
	}
	late.run()
	seen := map[string]bool{<-late.added: true, <-late.added: true}
	if !seen["gull"] || !seen["tern"] {
		t.Errorf("a monitor that runs later hears of %v", seen)
	}
	late.end()
}

func TestAKindThatNobodyMonitorsHasNoObjects(t *testing.T) {
	all, _ := newFakeMonitors()
	shared, err := all.ForResource(ships)
	if err != nil {
		t.Fatal(err)
	}
	list, err := shared.Lister().List(labels.Everything())
	if !shared.Informer().HasSynced() || err != nil || len(list) > 0 {
		t.Errorf("of a kind that nobody monitors there is %v, %v", list, err)
	}
	w := monitorShips(t, all)
	if shared, _ := all.ForResource(ships); shared.Informer().HasSynced() {
		t.Error("the objects of a kind are known before its monitor runs")
	}
	w.run().hears("gull")
	w.end()
}

func TestAKindThatIsGoneIsNoError(t *testing.T) {
	all, client := newFakeMonitors()
	client.PrependReactor("list", "ships", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(ships.GroupResource(), "")
	})
	gone := make(chan struct{}, 100)
	all.onGone(func() { gone <- struct{}{} })
	w := monitorShips(t, all).run()
	select {
	case <-gone:
	case <-time.After(time.Minute):
		t.Error("nobody is notified")
	}
	w.end()
}
