package store

import (
	"context"
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
	"k8s.io/apiserver/pkg/storage/value"
)

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
