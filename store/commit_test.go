package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// hold keeps the committer busy until the returned function is called: a transaction of ours locks out its own.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	tx, err := s.file.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = tx.Rollback() })
	t.Cleanup(release)
	return release
}

// handOver gives the committer, which is being held, a write of one pod, and returns when it has taken it.
func handOver(t *testing.T, pods *view, name string) *op {
	t.Helper()
	data, err := pods.encode(newPod(name))
	if err != nil {
		t.Fatal(err)
	}
	e := &entry{key: podKey(name), obj: newPod(name), size: len(data)}
	o := &op{resource: pods.resource, key: e.key, put: e, data: data}
	if err := pods.store.enqueue(o); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the committer takes the write", func() bool { return queued(pods.store) == 0 })
	return o
}

func queued(s *Store) int {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	return len(s.queue)
}

// commits is how many transactions the file has seen.
func commits(t *testing.T, s *Store) int {
	t.Helper()
	tx, err := s.file.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	return tx.ID()
}

func TestConcurrentWritesShareOneCommit(t *testing.T) {
	s, pods := testStore(t, Options{})
	const writers = 50
	before := commits(t, s)
	release := hold(t, s)
	var all sync.WaitGroup
	revs := make([]string, writers)
	first := handOver(t, pods, "first") // has a commit of its own
	for i := range writers {
		all.Go(func() { revs[i] = mustCreate(t, pods, fmt.Sprint("pod-", i)).ResourceVersion })
	}
	eventually(t, "all writes are queued", func() bool { return queued(s) == writers })
	release()
	all.Wait()
	<-first.done
	if n := commits(t, s) - before; n != 2 {
		t.Errorf("%d writes took %d commits, want 2", writers+1, n)
	}
	seen := map[string]bool{}
	for _, rev := range revs {
		seen[rev] = true
	}
	if len(seen) != writers {
		t.Errorf("%d writes share %d revisions", writers, len(seen))
	}
}

// TestNothingIsSeenBeforeItIsDurable stops a write just before its commit.
func TestNothingIsSeenBeforeItIsDurable(t *testing.T) {
	s, pods := testStore(t, Options{})
	w := watchPods(t, pods, storage.ListOptions{})
	release := hold(t, s)
	write := handOver(t, pods, "a")
	if err := pods.Get(t.Context(), podKey("a"), storage.GetOptions{}, &example.Pod{}); !storage.IsNotFound(err) {
		t.Errorf("get: got %v, want not found", err)
	}
	if rev, _ := pods.GetCurrentResourceVersion(t.Context()); rev != firstRevision {
		t.Errorf("the revision is %d already", rev)
	}
	// A second writer of the same key must not learn of the first one either.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := pods.Create(ctx, podKey("a"), newPod("a"), &example.Pod{}, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("create of the same key: got %v, want it to wait", err)
	}
	select {
	case e := <-w.ResultChan():
		t.Errorf("announced: %v", e)
	case r := <-write.done:
		t.Errorf("acknowledged: %v", r)
	default:
	}
	release()
	if r := <-write.done; r.err != nil {
		t.Error(r.err)
	}
	wantEvent(t, w, "ADDED", "a")
}

// TestConcurrentUpdatesAllCount is about lost updates: each adds one.
func TestConcurrentUpdatesAllCount(t *testing.T) {
	_, pods := testStore(t, Options{})
	mustCreate(t, pods, "counter")
	const writers, times = 8, 25
	add := storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		obj.(*example.Pod).Generation++
		return obj, nil
	})
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range times {
				if err := pods.GuaranteedUpdate(t.Context(), podKey("counter"), &example.Pod{}, false, nil, add, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	pod := &example.Pod{}
	if err := pods.Get(t.Context(), podKey("counter"), storage.GetOptions{}, pod); err != nil || pod.Generation != writers*times {
		t.Errorf("counted %d of %d, %v", pod.Generation, writers*times, err)
	}
}

// TestReadersSeeOneStateWhileWritersWrite lists all the while, and once more at the revision of each list.
func TestReadersSeeOneStateWhileWritersWrite(t *testing.T) {
	_, pods := testStore(t, Options{})
	for i := range 20 {
		mustCreate(t, pods, fmt.Sprint("pod-", i))
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := label(t.Context(), pods, fmt.Sprint("pod-", (w*5+i)%20), strconv.Itoa(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		list, err := listPods(t, pods, storage.ListOptions{})
		if err != nil || len(list.Items) != 20 {
			t.Fatalf("got %d pods, %v", len(list.Items), err)
		}
		rev, _ := strconv.Atoi(list.ResourceVersion)
		for _, p := range list.Items {
			if at, _ := strconv.Atoi(p.ResourceVersion); at > rev {
				t.Errorf("a list at %d has an object at %d", rev, at)
			}
		}
		exact, err := listPods(t, pods, storage.ListOptions{ResourceVersion: list.ResourceVersion, ResourceVersionMatch: "Exact"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			if list.Items[i].ResourceVersion != exact.Items[i].ResourceVersion {
				t.Fatalf("at %d, %s was at %s and is at %s now", rev, list.Items[i].Name, list.Items[i].ResourceVersion, exact.Items[i].ResourceVersion)
			}
		}
	}
	stop()
	all.Wait()
}

func TestReadersGetCopies(t *testing.T) {
	_, pods := testStore(t, Options{})
	mustCreate(t, pods, "a")
	mustLabel(t, pods, "a", "kept")
	spoil := func(p *example.Pod) { p.Labels["value"] = "spoilt" }
	spoil(mustLabel(t, pods, "a", "kept")) // no change: what is there is returned
	got := &example.Pod{}
	if err := pods.Get(t.Context(), podKey("a"), storage.GetOptions{}, got); err != nil {
		t.Fatal(err)
	}
	spoil(got)
	list, _ := listPods(t, pods, storage.ListOptions{})
	list.Items[0].Labels = map[string]string{"value": "spoilt"} // what an item refers to is not the reader's
	w := watchPods(t, pods, storage.ListOptions{})
	spoil(sent(nextEvent(t, w)).(*example.Pod))
	mustLabel(t, pods, "a", "other")
	want := mustLabel(t, pods, "a", "kept")
	spoil(sent(nextEvent(t, w)).(*example.Pod))
	spoil(sent(nextEvent(t, w)).(*example.Pod))
	failed := errors.New("changed my mind")
	err := pods.GuaranteedUpdate(t.Context(), podKey("a"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		spoil(obj.(*example.Pod))
		return nil, failed
	}), nil)
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	got = &example.Pod{}
	if err := pods.Get(t.Context(), podKey("a"), storage.GetOptions{}, got); err != nil || got.Labels["value"] != want.Labels["value"] {
		t.Errorf("got %v, %v", got.Labels, err)
	}
}

func TestUpdateWithoutChangeWritesNothing(t *testing.T) {
	s, pods := testStore(t, Options{})
	mustCreate(t, pods, "a")
	first := mustLabel(t, pods, "a", "x")
	before := commits(t, s)
	if again := mustLabel(t, pods, "a", "x"); again.ResourceVersion != first.ResourceVersion || commits(t, s) != before {
		t.Errorf("revision %s became %s with %d commits", first.ResourceVersion, again.ResourceVersion, commits(t, s)-before)
	}
}

func TestExpiryIsDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{})
	pods := s.view(podConfig(nil))
	if err := pods.Create(t.Context(), podKey("event"), newPod("event"), nil, 1); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, pods, "forever")
	s.Close()
	s = openTest(t, path, Options{})
	pods = s.view(podConfig(nil))
	w := watchPods(t, pods, storage.ListOptions{})
	wantEvent(t, w, "ADDED", "event")
	wantEvent(t, w, "ADDED", "forever")
	wantEvent(t, w, "DELETED", "event")
	s.Close()
	pods = openTest(t, path, Options{}).view(podConfig(nil))
	if got := contents(t, pods); len(got) != 1 {
		t.Errorf("after expiry and reopening there are %v", got)
	}
}

func TestUpdateKeepsOrRenewsTheTimeToLive(t *testing.T) {
	_, pods := testStore(t, Options{})
	hour, day := uint64(3600), uint64(86400)
	if err := pods.Create(t.Context(), podKey("event"), newPod("event"), nil, hour); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		set  *uint64
		want uint64 // before the step
	}{{nil, hour}, {&day, hour}, {nil, day}, {new(uint64), day}, {nil, 0}} {
		err := pods.GuaranteedUpdate(t.Context(), podKey("event"), &example.Pod{}, false, nil,
			func(obj runtime.Object, meta storage.ResponseMeta) (runtime.Object, *uint64, error) {
				if meta.TTL > int64(step.want) || meta.TTL < int64(step.want)-60 {
					t.Errorf("time to live is %d s, want about %d", meta.TTL, step.want)
				}
				obj.(*example.Pod).Generation++
				return obj, step.set, nil
			}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestClosedStoreRefuses(t *testing.T) {
	s, pods := testStore(t, Options{})
	w := watchPods(t, pods, storage.ListOptions{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-w.ResultChan(); open {
		t.Error("a watch survived")
	}
	if err := pods.Create(t.Context(), podKey("a"), newPod("a"), nil, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("create: %v", err)
	}
	if _, err := pods.Watch(t.Context(), "/pods", storage.ListOptions{Recursive: true, Predicate: storage.Everything}); !errors.Is(err, ErrClosed) {
		t.Errorf("watch: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
