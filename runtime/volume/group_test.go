package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// owned is a file's group and mode.
func owned(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %v", info.Sys().(*syscall.Stat_t).Gid, info.Mode())
}

// must ends the test at the first error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestGroupGetsAllThatIsInAVolumeAndNothingElse(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t,
		os.Chmod(dir, 0o755), os.WriteFile(outside, nil, 0o600), os.Mkdir(at("sub"), 0o700), os.WriteFile(at("sub/file"), nil, 0o600),
		os.WriteFile(at("setuid"), nil, 0o600), os.Chmod(at("setuid"), 0o755|fs.ModeSetuid), unix.Mkfifo(at("fifo"), 0o600),
		os.Symlink(outside, at("link")), os.Mkdir(at("mounted"), 0o700), unix.Mount("tmpfs", at("mounted"), "tmpfs", 0, "size=1m,mode=0700"),
	)
	t.Cleanup(func() { must(t, UnmountBelow(dir)) })
	if has, err := HasGroup(dir, 77); has || err != nil {
		t.Errorf("before, it has the group: %v, %v", has, err)
	}
	must(t, SetGroup(t.Context(), dir, 77))
	for path, want := range map[string]string{
		dir: "77 dgrwxrwxr-x", at("sub"): "77 dgrwxrwx---", at("sub/file"): "77 -rw-rw----", at("setuid"): "77 urwxrwxr-x",
		at("fifo"): "77 prw-rw----", at("link"): "77 Lrwxrwxrwx", outside: "0 -rw-------", at("mounted"): "0 drwx------",
	} {
		if got := owned(t, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if has, err := HasGroup(dir, 77); !has || err != nil {
		t.Errorf("after, it has the group: %v, %v", has, err)
	}
}

func TestGroupOfTheRootComesLast(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := SetGroup(ctx, dir, 77); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if has, _ := HasGroup(dir, 77); has {
		t.Error("what was not done counts as done")
	}
}

func TestGroupNeedsTheWholeOfWhatItIsGiven(t *testing.T) {
	dir := t.TempDir()
	must(t, SetGroup(t.Context(), dir, 77))
	for _, c := range []struct {
		what   string
		change func() error
		want   bool
	}{
		{"as it was left", func() error { return nil }, true},
		{"more for others", func() error { return os.Chmod(dir, 0o777|fs.ModeSetgid) }, true},
		{"without write", func() error { return os.Chmod(dir, 0o750|fs.ModeSetgid) }, false},
		{"without the bit that hands it on", func() error { return os.Chmod(dir, 0o770) }, false},
		{"another group", func() error { return errors.Join(os.Chmod(dir, 0o770|fs.ModeSetgid), os.Chown(dir, -1, 78)) }, false},
	} {
		must(t, c.change())
		if got, err := HasGroup(dir, 77); got != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.what, got, err)
		}
	}
}
