package store

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
)

const testPrefix = "test!"

// A suiteStore is what the upstream suite tests: a view over the suite's transformer, which the suite swaps to break
// what is stored. As this store decodes when it loads, the view loads again then, as after a restart.
type suiteStore struct {
	*view
	t testing.TB
}

func newSuiteStore(t testing.TB, opts Options) *suiteStore {
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), opts)
	transformer := storagetesting.NewPrefixTransformer([]byte(testPrefix), false)
	return &suiteStore{view: s.view(podConfig(transformer)), t: t}
}

func (s *suiteStore) swap(t value.Transformer) {
	s.config.Transformer = t
	s.load()
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.resource.history.compact(s.store.rev)
	s.resource.notify()
}

// UpdatePrefixTransformer implements storagetesting.InterfaceWithPrefixTransformer.
func (s *suiteStore) UpdatePrefixTransformer(modify storagetesting.PrefixTransformerModifier) func() {
	before := s.config.Transformer
	changed := *before.(*storagetesting.PrefixTransformer)
	s.swap(modify(&changed))
	return func() { s.swap(before) }
}

// CorruptTransformer implements storagetesting.InterfaceWithCorruptTransformer.
func (s *suiteStore) CorruptTransformer() func() {
	before := s.config.Transformer
	s.swap(corruptTransformer{before})
	return func() { s.swap(before) }
}

type corruptTransformer struct{ value.Transformer }

func (corruptTransformer) TransformFromStorage(context.Context, []byte, value.Context) ([]byte, bool, error) {
	return nil, true, fmt.Errorf("bits flipped")
}

// increaseRV moves the global revision by a write to another resource.
func (s *suiteStore) increaseRV(ctx context.Context, t *testing.T) int64 {
	c := podConfig(nil)
	c.ResourcePrefix = "/others"
	other := s.store.view(c)
	out := &example.Pod{}
	rev, _ := other.GetCurrentResourceVersion(ctx)
	name := fmt.Sprintf("at-%d", rev)
	if err := other.Create(ctx, "/others/"+name, newPod(name), out, 0); err != nil {
		t.Fatal(err)
	}
	now, err := versioner.ObjectResourceVersion(out)
	if err != nil {
		t.Fatal(err)
	}
	return int64(now)
}

// compact forgets what happened before a revision. etcd's compaction is a write too, which the suite counts on.
func (s *suiteStore) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	rev, err := versioner.ParseResourceVersion(resourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	s.increaseRV(ctx, t)
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.resource.history.compact(rev)
	s.resource.notify()
}

// checkStored is the suite's look at the stored bytes.
func (s *suiteStore) checkStored(_ context.Context, t *testing.T, key string) {
	err := s.store.file.read(key, func(r record, ok bool) error {
		if !ok {
			return fmt.Errorf("%s is not in the file", key)
		}
		decoded, err := runtime.Decode(s.config.Codec, r.data[len(testPrefix):])
		if err != nil {
			return err
		}
		if pod := decoded.(*example.Pod); pod.ResourceVersion != "" || pod.GetSelfLink() != "" {
			return fmt.Errorf("%s is stored with resourceVersion %q and selfLink %q", key, pod.ResourceVersion, pod.GetSelfLink())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A promptStore acknowledges a create only when every watch that it concerns has delivered it.
type promptStore struct {
	*suiteStore
	mu      sync.Mutex
	watches []*promptWatch
}

type promptWatch struct {
	watch.Interface
	prefix  string
	result  chan watch.Event
	reached atomic.Uint64 // revision of the last event
}

func (w *promptWatch) ResultChan() <-chan watch.Event { return w.result }

func (s *promptStore) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	inner, err := s.suiteStore.Watch(ctx, key, opts)
	if err != nil {
		return nil, err
	}
	w := &promptWatch{Interface: inner, prefix: key + "/", result: make(chan watch.Event, 100)}
	go func() {
		defer close(w.result)
		defer w.reached.Store(math.MaxUint64)
		for e := range inner.ResultChan() {
			w.result <- e
			if rev, err := versioner.ObjectResourceVersion(sent(e)); err == nil {
				w.reached.Store(rev)
			}
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = append(s.watches, w)
	return w, nil
}

func (s *promptStore) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if err := s.suiteStore.Create(ctx, key, obj, out, ttl); err != nil {
		return err
	}
	rev, err := versioner.ObjectResourceVersion(out)
	if err != nil {
		return err
	}
	s.mu.Lock()
	watches := slices.Clone(s.watches)
	s.mu.Unlock()
	for _, w := range watches {
		if strings.HasPrefix(key, w.prefix) {
			eventually(s.t, "a watch delivers "+key, func() bool { return w.reached.Load() >= rev })
		}
	}
	return nil
}
