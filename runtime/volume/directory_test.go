package volume

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDirectoryHasItsNameWhenItIsWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made/here")
	// A crash left one half made.
	if err := errors.Join(os.MkdirAll(dir+partSuffix, 0o700), os.WriteFile(filepath.Join(dir+partSuffix, "old"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	err := Build(dir, func(part string) error {
		if left, err := os.ReadDir(part); err != nil || len(left) > 0 {
			t.Errorf("it begins with %v, %v", left, err)
		}
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("it has its name before it is whole: %v", err)
		}
		return errors.Join(full, os.WriteFile(filepath.Join(part, "half"), nil, 0o600))
	})
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) > 0 {
		t.Errorf("a failure leaves %v, %v", left, err)
	}
	if err := Build(dir, func(part string) error { return os.WriteFile(filepath.Join(part, "file"), nil, 0o600) }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
		t.Error(err)
	}
}

func TestDirectoryIsOpenToAllOnce(t *testing.T) {
	dir, group := filepath.Join(t.TempDir(), "open"), int64(os.Getgid())
	mode := func() os.FileMode {
		t.Helper()
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if err := MakeEmptyDir(dir, &group); err != nil {
		t.Fatal(err)
	}
	if got := mode(); got != os.ModeDir|os.ModeSetgid|0o777 {
		t.Errorf("a new one has %v", got)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := MakeEmptyDir(dir, nil); err != nil {
		t.Fatal(err)
	}
	if got := mode(); got != os.ModeDir|0o700 {
		t.Errorf("its users gave it another mode, and now it has %v", got)
	}
}
