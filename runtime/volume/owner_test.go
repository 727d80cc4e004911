package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestOnlyAFreshDirectoryIsGivenAway(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"fresh", "group", "used", "taken"} {
		must(t, os.Mkdir(at(name), 0o700), os.Chmod(at(name), 0o777))
	}
	must(t, os.WriteFile(at("used/x"), nil, 0o600), os.Chown(at("taken"), 5, 6), os.WriteFile(at("file"), nil, 0o600), os.Symlink("fresh", at("link")))
	for _, c := range []struct {
		name  string
		gid   int
		fresh bool
		want  string
	}{
		{"link", 78, false, "0:0 Lrwxrwxrwx"}, // before what it leads to
		{"fresh", 78, true, "77:78 drwxrwxrwx"},
		{"group", -1, true, "77:0 drwxrwxrwx"},
		{"used", 78, false, "0:0 drwxrwxrwx"},
		{"taken", 78, false, "5:6 drwxrwxrwx"},
		{"file", 78, false, "0:0 -rw-------"},
	} {
		fresh, err := IsFresh(at(c.name))
		if fresh != c.fresh || err != nil {
			t.Errorf("%s is fresh: %v, %v", c.name, fresh, err)
		}
		must(t, GiveFresh(at(c.name), 77, c.gid))
		info, err := os.Lstat(at(c.name))
		must(t, err)
		stat := info.Sys().(*syscall.Stat_t)
		if got := fmt.Sprintf("%d:%d %v", stat.Uid, stat.Gid, info.Mode()); got != c.want {
			t.Errorf("%s is %s, want %s", c.name, got, c.want)
		}
	}
	if err := GiveFresh(at("none"), 77, 78); !os.IsNotExist(err) {
		t.Errorf("one that is not there: %v", err)
	}
}
