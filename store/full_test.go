package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// smallDisk mounts a file system of size bytes that is gone after the test.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, unix.EPERM) {
		t.Skip("a full disk takes a mount of our own, so this test must run as root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk fills the disk beside a store that is being written to.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 2<<20)
	path := filepath.Join(dir, "store.db")
	s := openTest(t, path, Options{})
	pods := s.view(podConfig(nil))
	acked := fillUp(t, pods, "first")
	if err := pods.ReadinessCheck(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("readiness: got %v, want ENOSPC", err)
	}
	if got := contents(t, pods); !maps.Equal(got, acked) {
		t.Errorf("%d objects are visible, %d were acknowledged", len(got), len(acked))
	}
	before, _ := pods.GetCurrentResourceVersion(t.Context())

	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, fmt.Sprintf("size=%d", 4<<20)); err != nil {
		t.Fatal(err)
	}
	created := mustCreate(t, pods, "after")
	if want := fmt.Sprint(before + 1); created.ResourceVersion != want {
		t.Errorf("the first write with space again is revision %s, want %s: refused writes count for nothing", created.ResourceVersion, want)
	}
	acked["after"] = created.ResourceVersion
	if err := pods.ReadinessCheck(); err != nil {
		t.Errorf("readiness with space again: %v", err)
	}
	maps.Copy(acked, fillUp(t, pods, "second"))

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := contents(t, openTest(t, path, Options{}).view(podConfig(nil))) // still full: opening needs no space
	if !maps.Equal(got, acked) {
		t.Errorf("%d objects after reopening, %d were acknowledged", len(got), len(acked))
	}
}

// fillUp creates objects with several writers until each has been refused a few times. It returns the acknowledged ones
// as contents does.
func fillUp(t *testing.T, pods *view, name string) map[string]string {
	t.Helper()
	acked := map[string]string{}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i, refused := 0, 0; refused < 5; i++ {
				pod, out := newPod(fmt.Sprintf("%s-%d-%d", name, w, i)), &example.Pod{}
				value := strings.Repeat("x", 3000)
				pod.Labels = map[string]string{"value": value}
				err := pods.Create(t.Context(), podKey(pod.Name), pod, out, 0)
				switch {
				case err == nil:
					mu.Lock()
					acked[pod.Name] = out.ResourceVersion + value
					mu.Unlock()
				case errors.Is(err, syscall.ENOSPC) && strings.Contains(err.Error(), pods.store.file.path):
					refused++
				default:
					t.Errorf("got %v, want ENOSPC with the name of the file", err)
					return
				}
			}
		})
	}
	writers.Wait()
	return acked
}

func TestCreateOnAFullDiskLeavesNothing(t *testing.T) {
	dir := smallDisk(t, 4<<10)
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 4<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "store.db"), Options{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

// TestDoubtfulCommitStopsWrites is what follows when only the last sync of a commit fails: the file has the write, and
// nobody knows for how long.
func TestDoubtfulCommitStopsWrites(t *testing.T) {
	s, pods := testStore(t, Options{})
	mustCreate(t, pods, "before")
	err, broken := s.failed(errors.New("input/output error"))
	if err == nil || broken != nil {
		t.Fatalf("the file is as before: got %v, %v", err, broken)
	}
	if err := s.file.write(nil, s.rev+1); err != nil { // what the commit that failed has left
		t.Fatal(err)
	}
	err, broken = s.failed(errors.New("input/output error"))
	if broken == nil || !strings.Contains(err.Error(), "restart") {
		t.Fatalf("the file is ahead: got %v, %v", err, broken)
	}
	if err := pods.ReadinessCheck(); err == nil {
		t.Error("readiness is not affected")
	}
	if err := pods.Get(t.Context(), podKey("before"), storage.GetOptions{}, &example.Pod{}); err != nil {
		t.Errorf("reading must go on: %v", err)
	}
}
