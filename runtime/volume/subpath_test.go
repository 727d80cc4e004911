package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSubPathStaysInItsVolume(t *testing.T) {
	volume, outside := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(volume, "v1/data"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"out": outside, "up": "..", "absolute": filepath.Join(volume, "v1"), "relative": "v1", "dangling": filepath.Join(outside, "new")} {
		if err := os.Symlink(target, filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"out", "out/new/deep", "up/x", "dangling", "dangling/x", "../x"} {
		if part, err := OpenSubPath(volume, sub, true); err == nil {
			t.Errorf("%s leads to something", sub)
			part.Close()
		}
	}
	if made, _ := os.ReadDir(outside); len(made) > 0 {
		t.Errorf("made outside: %v", made)
	}
	for _, sub := range []string{"relative/data", "absolute/data", "v1/data"} {
		part, err := OpenSubPath(volume, sub, false)
		if err != nil {
			t.Errorf("%s: %v", sub, err)
			continue
		}
		if path, err := os.Readlink(handlePath(part)); err != nil || path != filepath.Join(volume, "v1/data") {
			t.Errorf("%s leads to %s, %v", sub, path, err)
		}
		part.Close()
	}
}

func TestLinkThatAppearsMeanwhileIsNotFollowed(t *testing.T) {
	volume := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(volume, "out")); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(volume)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if fd, err := openStep(int(dir.Fd()), "out"); err == nil {
		t.Error("a link was opened")
		unix.Close(fd)
	}
	if fd, err := makeStep(int(dir.Fd()), "out", 0o777); err == nil {
		t.Error("a link was taken for the directory that was to be made")
		unix.Close(fd)
	}
}

func TestWhatIsNoFileIsNotRead(t *testing.T) {
	volume := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(volume, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := ReadFile(volume, "fifo", 10); ended <- err }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a FIFO holds who reads it for ever")
	}
	if err := os.WriteFile(filepath.Join(volume, "file"), []byte("long text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if text, err := ReadFile(volume, "file", 4); string(text) != "long" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestBoundPartTakesThePlaceOfTheOneBefore(t *testing.T) {
	volume, target := t.TempDir(), filepath.Join(t.TempDir(), "mounts/one")
	t.Cleanup(func() {
		if err := UnmountBelow(target); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(volume, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"dir/deep", "file"} { // a directory, and then a file
		part, err := OpenSubPath(volume, sub, true)
		if err != nil {
			t.Fatal(err)
		}
		err = Bind(part, target)
		part.Close()
		if errors.Is(err, unix.EPERM) {
			t.Skipf("nothing can be mounted here: %v", err)
		} else if err != nil {
			t.Fatal(err)
		}
		want, err := os.Stat(filepath.Join(volume, sub))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.Stat(target); err != nil || !os.SameFile(got, want) {
			t.Errorf("%s is not what is at %s: %v", sub, target, err)
		}
	}
	if mounted, err := MountedBelow(target); err != nil || len(mounted) != 1 {
		t.Errorf("mounted are %v, %v", mounted, err)
	}
}
