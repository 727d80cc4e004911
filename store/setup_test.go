package store

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
)

const testPrefix = "test!"

func testCodec() runtime.Codec {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
	return apitesting.TestCodec(serializer.NewCodecFactory(scheme), examplev1.SchemeGroupVersion)
}

// podConfig is the resource that most tests store; suite tests want the transformer.
func podConfig(t value.Transformer) StorageConfig {
	return StorageConfig{
		Codec:          testCodec(),
		ResourcePrefix: "/pods",
		NewFunc:        func() runtime.Object { return &example.Pod{} },
		NewListFunc:    func() runtime.Object { return &example.PodList{} },
		GroupResource:  schema.GroupResource{Resource: "pods"},
		Transformer:    t,
	}
}

func openTest(t testing.TB, path string, opts Options) *Store {
	t.Helper()
	opts.Log = slog.New(slog.DiscardHandler)
	s, err := Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func testStore(t testing.TB, opts Options) (*Store, *view) {
	t.Helper()
	s := openTest(t, filepath.Join(t.TempDir(), "store.db"), opts)
	return s, s.view(podConfig(nil))
}

func podKey(name string) string { return "/pods/default/" + name }

func newPod(name string) *example.Pod {
	return &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
}

func mustCreate(t testing.TB, s storage.Interface, name string) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	if err := s.Create(t.Context(), podKey(name), newPod(name), out, 0); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return out
}

// label updates a pod so that it differs.
func label(ctx context.Context, s storage.Interface, name, value string) (*example.Pod, error) {
	out := &example.Pod{}
	err := s.GuaranteedUpdate(ctx, podKey(name), out, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		obj.(*example.Pod).Labels = map[string]string{"value": value}
		return obj, nil
	}), nil)
	return out, err
}

func mustLabel(t testing.TB, s storage.Interface, name, value string) *example.Pod {
	t.Helper()
	out, err := label(t.Context(), s, name, value)
	if err != nil {
		t.Fatalf("update %s: %v", name, err)
	}
	return out
}

func listPods(t testing.TB, s storage.Interface, opts storage.ListOptions) (*example.PodList, error) {
	t.Helper()
	if opts.Predicate.Label == nil {
		limit, token := opts.Predicate.Limit, opts.Predicate.Continue
		opts.Predicate = storage.Everything
		opts.Predicate.Limit, opts.Predicate.Continue = limit, token
	}
	opts.Recursive = true
	out := &example.PodList{}
	return out, s.GetList(t.Context(), "/pods", opts, out)
}

// eventually waits for what another goroutine does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
	}
}

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
		if pod := decoded.(*example.Pod); pod.ResourceVersion != "" || pod.SelfLink != "" {
			return fmt.Errorf("%s is stored with resourceVersion %q and selfLink %q", key, pod.ResourceVersion, pod.SelfLink)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
