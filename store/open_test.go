package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

func TestReopenedStoreHasEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{})
	pods := s.view(podConfig(nil))
	mustCreate(t, pods, "stays")
	updated := mustLabel(t, pods, "stays", "new")
	mustCreate(t, pods, "goes")
	if err := pods.Delete(t.Context(), podKey("goes"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before, _ := listPods(t, pods, storage.ListOptions{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	pods = openTest(t, path, Options{}).view(podConfig(nil))
	after, err := listPods(t, pods, storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after.ResourceVersion != before.ResourceVersion {
		t.Errorf("revision is %s after reopening, was %s: the deletion was the last write", after.ResourceVersion, before.ResourceVersion)
	}
	if len(after.Items) != 1 || after.Items[0].ResourceVersion != updated.ResourceVersion || after.Items[0].Labels["value"] != "new" {
		t.Errorf("got %+v, want only %+v", after.Items, updated)
	}
}

func TestViewsOfOnePrefixShareTheirObjects(t *testing.T) {
	s, pods := testStore(t, Options{})
	mustCreate(t, pods, "a")
	again := s.Storage(podConfig(nil))
	if err := again.Get(t.Context(), podKey("a"), storage.GetOptions{}, &example.Pod{}); err != nil {
		t.Error(err)
	}
	mustCreate(t, again, "b")
	if err := pods.Get(t.Context(), podKey("b"), storage.GetOptions{}, &example.Pod{}); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesAFileInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{})
	_, err := Open(path, Options{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "kube-lite status") {
		t.Errorf("got %v, want ErrInUse that names the file and what to do", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openTest(t, path, Options{})
}

func TestOpenIgnoresAFileThatWasNeverFinished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path+".new-123", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, openTest(t, path, Options{}).view(podConfig(nil)), "a")
}

// filledFile makes a store of some hundred pages, some of them overflowing, and returns its bytes and its objects.
func filledFile(t *testing.T) ([]byte, map[string]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{})
	pods := s.view(podConfig(nil))
	for i := range 24 {
		name := fmt.Sprintf("pod-%03d", i)
		mustCreate(t, pods, name)
		mustLabel(t, pods, name, strings.Repeat("x", i*400))
	}
	want := contents(t, pods)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data, want
}

func contents(t *testing.T, pods *view) map[string]string {
	t.Helper()
	list, err := listPods(t, pods, storage.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range list.Items {
		all[p.Name] = p.ResourceVersion + p.Labels["value"]
	}
	return all
}

// openBytes opens a store of just these bytes.
func openBytes(t *testing.T, data []byte) (map[string]string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return openContents(t, path)
}

// openContents fails the test if the error does not name the file and the way out.
func openContents(t *testing.T, path string) (map[string]string, error) {
	t.Helper()
	s, err := Open(path, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		for _, part := range []string{path, "backup", "kube-lite reset"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error does not mention %q: %v", part, err)
			}
		}
		return nil, err
	}
	defer s.Close()
	return contents(t, s.view(podConfig(nil))), nil
}

func TestOpenRefusesATruncatedFile(t *testing.T) {
	data, want := filledFile(t)
	for size := 0; size < len(data); size += max(1, len(data)/97) {
		switch got, err := openBytes(t, data[:size]); {
		case err == nil && !maps.Equal(got, want):
			t.Errorf("opened with %d of %d objects when cut to %d of %d bytes", len(got), len(want), size, len(data))
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Errorf("cut to %d bytes: got %v, want ErrCorrupt", size, err)
		case err == nil && size < len(data)/2:
			t.Errorf("opened when cut to %d of %d bytes", size, len(data))
		}
	}
}

func TestOpenRefusesAGarbledFile(t *testing.T) {
	data, want := filledFile(t)
	page := os.Getpagesize()
	rnd := rand.New(rand.NewPCG(1, 2))
	garble := map[string]func(page []byte){
		"zeros":  func(b []byte) { clear(b) },
		"noise":  func(b []byte) { fill(rnd, b) },
		"header": func(b []byte) { fill(rnd, b[:16]) },
		"bit":    func(b []byte) { b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8) },
		"tail":   func(b []byte) { fill(rnd, b[len(b)/2:]) },
	}
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	refused := 0
	for at := 2 * page; at < len(data); at += page { // the first two are for the test below
		whole := data[at : at+page]
		for name, do := range garble {
			bad := bytes.Clone(whole)
			do(bad)
			writeAt(t, f, bad, at)
			got, err := openContents(t, path)
			if err == nil && !maps.Equal(got, want) {
				t.Errorf("opened with other objects after %s in page %d", name, at/page)
			}
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s in page %d: got %v, want ErrCorrupt", name, at/page, err)
			}
			if err != nil {
				refused++
			}
		}
		writeAt(t, f, whole, at)
	}
	if refused == 0 {
		t.Error("no garbled page was noticed")
	}
}

func writeAt(t *testing.T, f *os.File, b []byte, at int) {
	t.Helper()
	if _, err := f.WriteAt(b, int64(at)); err != nil {
		t.Fatal(err)
	}
}

func fill(rnd *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
}

func TestOpenNeedsOneOfTheTwoHeaders(t *testing.T) {
	data, want := filledFile(t)
	page := os.Getpagesize()
	for _, at := range []int{0, page} { // one of them is that of the last write, which a power cut may have torn
		bad := bytes.Clone(data)
		clear(bad[at : at+page])
		got, err := openBytes(t, bad)
		if err != nil || len(got) < len(want)-1 {
			t.Errorf("without the header at %d: %d objects, %v", at, len(got), err)
		}
	}
	bad := bytes.Clone(data)
	bad[16], bad[page+16] = 0, 0 // the magic numbers
	if _, err := openBytes(t, bad); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without any header: got %v, want ErrCorrupt", err)
	}
}

func TestOpenRefusesAnotherProgramsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("things"))
		if err != nil {
			return err
		}
		return b.Put([]byte("a"), []byte("b"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
	if _, err := openBytes(t, []byte("kind: Pod\n")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a text file: got %v, want ErrCorrupt", err)
	}
}

func TestUndecodableObjectIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openTest(t, path, Options{})
	mustCreate(t, s.view(podConfig(nil)), "good")
	bad := record{rev: 2, data: []byte("{")}
	if err := s.file.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(objectsBucket).Put([]byte(podKey("bad")), bad.encode(podKey("bad")))
	}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openTest(t, path, Options{})
	c := podConfig(nil)
	config := &storagebackend.ConfigForResource{Config: storagebackend.Config{Codec: c.Codec}}
	_, _, err := s.Decorator()(config, c.ResourcePrefix, nil, c.NewFunc, c.NewListFunc, nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), podKey("bad")) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error with the key and the file", err)
	}
	pods := s.Storage(c)
	if err := pods.Get(t.Context(), podKey("good"), storage.GetOptions{}, &example.Pod{}); err != nil {
		t.Errorf("the other object: %v", err)
	}
	if _, err := listPods(t, pods, storage.ListOptions{}); !storage.IsInternalError(err) || !strings.Contains(err.Error(), podKey("bad")) {
		t.Errorf("list: got %v, want an internal error with the key", err)
	}
}
