package store

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"
)

// benchPod is about as large as a Pod with managed fields: 4 kB encoded.
func benchPod(name string) *example.Pod {
	p := newPod(name)
	p.Labels = map[string]string{"app": "echo", "pod-template-hash": "abcdef"}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "kube-lite", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:x":"` + strings.Repeat("x", 3500) + `"}}`),
	}}
	return p
}

// BenchmarkCreate is bound by fsync; parallel writers share it.
func BenchmarkCreate(b *testing.B) { benchCreate(b, nil) }

// BenchmarkCreateEncrypted is BenchmarkCreate of what is encrypted.
func BenchmarkCreateEncrypted(b *testing.B) { benchCreate(b, podKeys{"one", ""}) }

func benchCreate(b *testing.B, keys value.ResourceTransformers) {
	for _, parallel := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", parallel), func(b *testing.B) {
			_, pods := testStore(b, Options{Transformers: keys})
			var n atomic.Int64
			b.SetParallelism(parallel)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					name := fmt.Sprint("pod-", n.Add(1))
					if err := pods.Create(b.Context(), podKey(name), benchPod(name), &example.Pod{}, 0); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func benchStore(b *testing.B, n int) *view {
	_, pods := testStore(b, Options{})
	for i := range n {
		name := fmt.Sprintf("pod-%06d", i)
		if err := pods.Create(b.Context(), podKey(name), benchPod(name), nil, 0); err != nil {
			b.Fatal(err)
		}
	}
	return pods
}

func BenchmarkList(b *testing.B) {
	for _, n := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("pods=%d", n), func(b *testing.B) {
			pods := benchStore(b, n)
			for b.Loop() {
				if list, err := listPods(b, pods, storage.ListOptions{}); err != nil || len(list.Items) != n {
					b.Fatal(len(list.Items), err)
				}
			}
		})
	}
}

// BenchmarkListPages lists 1,000 pods by tens.
func BenchmarkListPages(b *testing.B) {
	pods := benchStore(b, 1000)
	for b.Loop() {
		for token, done := "", false; !done; done = token == "" {
			list, err := listPods(b, pods, page1(10, token))
			if err != nil {
				b.Fatal(err)
			}
			token = list.Continue
		}
	}
}

func BenchmarkGet(b *testing.B) {
	pods := benchStore(b, 1000)
	for b.Loop() {
		if err := pods.Get(b.Context(), podKey("pod-000500"), storage.GetOptions{}, &example.Pod{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens a file with 1,000 pods: once without looking at them, once with decoding them.
func BenchmarkOpen(b *testing.B) {
	pods := benchStore(b, 1000)
	path := pods.store.file.path
	pods.store.Close()
	for _, load := range []bool{false, true} {
		b.Run(fmt.Sprintf("load=%v", load), func(b *testing.B) {
			for b.Loop() {
				s, err := Open(path, Options{})
				if err != nil {
					b.Fatal(err)
				}
				if load {
					s.view(podConfig(nil))
				}
				s.Close()
			}
		})
	}
}
