package store

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// watchPods watches all pods until the test ends.
func watchPods(t *testing.T, s storage.Interface, opts storage.ListOptions) watch.Interface {
	t.Helper()
	opts.Recursive = true
	bookmarks := opts.Predicate.AllowWatchBookmarks
	opts.Predicate = storage.Everything
	opts.Predicate.AllowWatchBookmarks = bookmarks
	w, err := s.Watch(t.Context(), "/pods", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

func nextEvent(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case e, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch has ended")
		}
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
	}
	panic("unreachable")
}

// sent is the object of an event, which may be shared with other watches.
func sent(e watch.Event) runtime.Object {
	if o, ok := e.Object.(runtime.CacheableObject); ok {
		return o.GetObject()
	}
	return e.Object
}

func wantEvent(t *testing.T, w watch.Interface, kind watch.EventType, name string) *example.Pod {
	t.Helper()
	e := nextEvent(t, w)
	pod, ok := sent(e).(*example.Pod)
	if !ok || e.Type != kind || pod.Name != name {
		t.Fatalf("got %s %+v, want %s %s", e.Type, e.Object, kind, name)
	}
	return pod
}

func wantGone(t *testing.T, w watch.Interface) {
	t.Helper()
	e := nextEvent(t, w)
	status, ok := e.Object.(*metav1.Status)
	if e.Type != watch.Error || !ok || status.Code != http.StatusGone || status.Reason != metav1.StatusReasonExpired {
		t.Fatalf("got %s %+v, want 410 Expired", e.Type, e.Object)
	}
	if _, open := <-w.ResultChan(); open {
		t.Error("the watch goes on after the error")
	}
}

// TestSlowWatchHoldsUpNobody has one watch that nobody reads from while another is read and thousands of writes happen.
func TestSlowWatchHoldsUpNobody(t *testing.T) {
	_, pods := testStore(t, Options{HistorySize: 100})
	slow := watchPods(t, pods, storage.ListOptions{})
	live := watchPods(t, pods, storage.ListOptions{})
	mustCreate(t, pods, "a")
	wantEvent(t, live, watch.Added, "a")
	const writes = 500
	for i := range writes {
		mustLabel(t, pods, "a", strconv.Itoa(i))
		if pod := wantEvent(t, live, watch.Modified, "a"); pod.Labels["value"] != strconv.Itoa(i) {
			t.Fatalf("the live watch got %v for write %d", pod.Labels, i)
		}
	}
	got := 0
	for e := range slow.ResultChan() {
		got++
		if e.Type != watch.Error {
			continue
		}
		if status, ok := e.Object.(*metav1.Status); !ok || status.Code != http.StatusGone {
			t.Errorf("got %v, want 410", e.Object)
		}
	}
	if got > watchBuffer+2*watchBatch {
		t.Errorf("%d events were kept for the slow watch", got)
	}
}

func TestWatchResumesFromTheHistory(t *testing.T) {
	_, pods := testStore(t, Options{HistorySize: 3})
	mustCreate(t, pods, "a")
	var revs []string
	for i := range 5 {
		revs = append(revs, mustLabel(t, pods, "a", strconv.Itoa(i)).ResourceVersion)
	}
	w := watchPods(t, pods, storage.ListOptions{ResourceVersion: revs[1]})
	for i := 2; i < 5; i++ {
		if pod := wantEvent(t, w, watch.Modified, "a"); pod.ResourceVersion != revs[i] {
			t.Errorf("got revision %s, want %s", pod.ResourceVersion, revs[i])
		}
	}
	wantGone(t, watchPods(t, pods, storage.ListOptions{ResourceVersion: revs[0]}))
}

func TestHistoryIsBoundedByBytesAndAge(t *testing.T) {
	s, pods := testStore(t, Options{HistoryBytes: 50_000})
	mustCreate(t, pods, "a")
	for i := range 40 {
		mustLabel(t, pods, "a", strings.Repeat(strconv.Itoa(i%10), 10_000))
	}
	if n := len(pods.resource.history.events); n < 2 || n > 5 {
		t.Errorf("the history keeps %d events of 10 kB in 50 kB", n)
	}
	s.trim(time.Now().Add(DefaultHistoryAge + time.Minute))
	if h := &pods.resource.history; len(h.events) != 0 || h.bytes != 0 {
		t.Errorf("the history keeps %d old events, %d bytes", len(h.events), h.bytes)
	}
	rev, _ := pods.GetCurrentResourceVersion(t.Context())
	w := watchPods(t, pods, storage.ListOptions{ResourceVersion: fmt.Sprint(rev)})
	mustLabel(t, pods, "a", "new")
	wantEvent(t, w, watch.Modified, "a")
}

// TestOtherResourcesDoNotAgeAWatch is why histories are per resource.
func TestOtherResourcesDoNotAgeAWatch(t *testing.T) {
	s, pods := testStore(t, Options{HistorySize: 10})
	rev := mustCreate(t, pods, "a").ResourceVersion
	c := podConfig(nil)
	c.ResourcePrefix = "/busy"
	busy := s.view(c)
	for i := range 50 {
		if err := busy.Create(t.Context(), fmt.Sprint("/busy/", i), newPod("x"), nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	w := watchPods(t, pods, storage.ListOptions{ResourceVersion: rev})
	mustLabel(t, pods, "a", "x")
	wantEvent(t, w, watch.Modified, "a")
}

func TestWatchOfAFutureRevisionFails(t *testing.T) {
	_, pods := testStore(t, Options{})
	e := nextEvent(t, watchPods(t, pods, storage.ListOptions{ResourceVersion: "1000"}))
	status, ok := e.Object.(*metav1.Status)
	if !ok || status.Code != http.StatusGatewayTimeout || status.Details == nil || status.Details.RetryAfterSeconds == 0 {
		t.Errorf("got %s %+v, want a timeout that says when to retry", e.Type, e.Object)
	}
}

// TestBookmarksFollowOtherResources keeps the client of a quiet resource from an expired revision.
func TestBookmarksFollowOtherResources(t *testing.T) {
	s, pods := testStore(t, Options{BookmarkInterval: 5 * time.Millisecond})
	w := watchPods(t, pods, storage.ListOptions{Predicate: storage.SelectionPredicate{AllowWatchBookmarks: true}})
	c := podConfig(nil)
	c.ResourcePrefix = "/others"
	if err := s.Storage(c).Create(t.Context(), "/others/a", newPod("a"), nil, 0); err != nil {
		t.Fatal(err)
	}
	rev, _ := pods.GetCurrentResourceVersion(t.Context())
	eventually(t, "a bookmark with the revision of the other write", func() bool {
		e := nextEvent(t, w)
		if e.Type != watch.Bookmark {
			t.Fatalf("got %v", e)
		}
		return e.Object.(*example.Pod).ResourceVersion == fmt.Sprint(rev)
	})
}

// TestListThenWatchMissesNothing is an informer's life: initial events, their end, and then every change once, while
// others write. It starts many, at random moments.
func TestListThenWatchMissesNothing(t *testing.T) {
	_, pods := testStore(t, Options{})
	mustCreate(t, pods, "a")
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := label(t.Context(), pods, "a", strconv.Itoa(i)); err != nil {
				t.Error(err)
			}
		}
	}()
	yes := true
	for range 30 {
		w := watchPods(t, pods, storage.ListOptions{
			SendInitialEvents: &yes, Predicate: storage.SelectionPredicate{AllowWatchBookmarks: true}})
		last := number(t, wantEvent(t, w, watch.Added, "a"))
		end := nextEvent(t, w)
		if marked, err := storage.HasInitialEventsEndBookmarkAnnotation(end.Object); end.Type != watch.Bookmark || !marked || err != nil {
			t.Fatalf("got %v, want the bookmark that ends the initial events", end)
		}
		for range 10 {
			if n := number(t, wantEvent(t, w, watch.Modified, "a")); n != last+1 {
				t.Fatalf("write %d was followed by write %d", last, n)
			} else {
				last = n
			}
		}
		w.Stop()
	}
	stop()
	<-written
}

func number(t *testing.T, p *example.Pod) int {
	t.Helper()
	if p.Labels["value"] == "" {
		return -1
	}
	n, err := strconv.Atoi(p.Labels["value"])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWatchesShareWhatTheySendAndItsEncoding(t *testing.T) {
	_, pods := testStore(t, Options{})
	watches := []watch.Interface{watchPods(t, pods, storage.ListOptions{}), watchPods(t, pods, storage.ListOptions{})}
	created := mustCreate(t, pods, "a")
	mustLabel(t, pods, "a", "new")
	if err := pods.Delete(t.Context(), podKey("a"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	encodings := 0
	encode := func(obj runtime.Object, w io.Writer) error {
		encodings++
		pod := obj.(*example.Pod)
		_, err := fmt.Fprintf(w, "%s %v %s", pod.Name, pod.Labels, pod.ResourceVersion)
		pod.Name = "changed" // the copy is the encoder's
		return err
	}
	rev, err := strconv.Atoi(created.ResourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"a map[]", "a map[value:new]", "a map[value:new]"} {
		first, second := nextEvent(t, watches[0]), nextEvent(t, watches[1])
		if first.Object != second.Object || first.Type != second.Type {
			t.Fatalf("two watches send different objects: %v, %v", first, second)
		}
		want = fmt.Sprint(want, " ", rev+n)
		for _, e := range []watch.Event{first, second} {
			var got strings.Builder
			if err := e.Object.(runtime.CacheableObject).CacheEncode("form", encode, &got); err != nil || got.String() != want {
				t.Errorf("%s: %q, %v, want %q", e.Type, got.String(), err, want)
			}
		}
	}
	if encodings != 3 {
		t.Errorf("three events to two watches were encoded %d times, want 3", encodings)
	}
}
