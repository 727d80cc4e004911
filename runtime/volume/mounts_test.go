package volume

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountPointsAreFoundWithBlanksInThem(t *testing.T) {
	if got := unescape(`/a\040b\134c`); got != `/a b\c` {
		t.Errorf("got %q", got)
	}
	if got, err := MountedBelow("/proc"); err != nil || !slices.Contains(got, "/proc") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMountsAreFoundBelowALink(t *testing.T) {
	real := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	volume := filepath.Join(link, "v")
	if err := os.Mkdir(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := UnmountBelow(real); err != nil {
			t.Error(err)
		}
	})
	if err := MountMemory(volume, 1<<20); errors.Is(err, unix.EPERM) {
		t.Skipf("nothing can be mounted here: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if got, err := MountedBelow(volume); err != nil || len(got) != 1 {
		t.Errorf("mounted are %q, %v", got, err)
	}
	if err := RemoveTree(link + "/v"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(real, "v")); !os.IsNotExist(err) {
		t.Errorf("it is left: %v", err)
	}
}
