package volume

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestProjectedFilesChangeAllAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	read := func(name string) string { b, _ := os.ReadFile(filepath.Join(dir, name)); return string(b) }
	if err := WriteAtomically(dir, Files{"a": {Data: "1", Mode: 0o600}, "sub/b": {Data: "2", Mode: 0o644}, "old": {Data: "x", Mode: 0o644}}, nil); err != nil {
		t.Fatal(err)
	}
	if read("a") != "1" || read("sub/b") != "2" {
		t.Errorf("a is %q, sub/b is %q", read("a"), read("sub/b"))
	}
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a: %v, %v", info.Mode(), err)
	}
	// Who has the directory behind the link open sees the old files, all of them.
	before, err := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteAtomically(dir, Files{"a": {Data: "3", Mode: 0o600}, "sub/b": {Data: "4", Mode: 0o644}}, nil); err != nil {
		t.Fatal(err)
	}
	if read("a") != "3" || read("sub/b") != "4" {
		t.Errorf("a is %q, sub/b is %q", read("a"), read("sub/b"))
	}
	if _, err := os.Lstat(filepath.Join(dir, "old")); !os.IsNotExist(err) {
		t.Errorf("old is left: %v", err)
	}
	if _, err := os.Stat(before); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", before, err)
	}
}

func TestProjectedFilesThatAreThereAreLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	link := func() string { to, _ := os.Readlink(filepath.Join(dir, dataLink)); return to }
	dirs := func() (n int) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.IsDir() {
				n++
			}
		}
		return n
	}
	write := func(files Files) {
		t.Helper()
		if err := WriteAtomically(dir, files, nil); err != nil {
			t.Fatal(err)
		}
	}
	write(Files{"a": {Data: "1", Mode: 0o600}, "sub/b": {Data: "2", Mode: 0o644}})
	before := link()
	// A crash left a directory that nothing leads to, and a name was not made yet.
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "..v7"), 0o700), os.Remove(filepath.Join(dir, "a"))); err != nil {
		t.Fatal(err)
	}
	write(Files{"a": {Data: "1", Mode: 0o600}, "./sub//b": {Data: "2", Mode: 0o644}})
	if text, err := os.ReadFile(filepath.Join(dir, "a")); link() != before || dirs() != 1 || string(text) != "1" {
		t.Errorf("the link went from %s to %s, there are %d directories, a has %q, %v", before, link(), dirs(), text, err)
	}
	for what, files := range map[string]Files{
		"another text": {"a": {Data: "2", Mode: 0o600}, "sub/b": {Data: "2", Mode: 0o644}},
		"another mode": {"a": {Data: "1", Mode: 0o640}, "sub/b": {Data: "2", Mode: 0o644}},
		"one more":     {"a": {Data: "1", Mode: 0o600}, "sub/b": {Data: "2", Mode: 0o644}, "c": {}},
		"one less":     {"a": {Data: "1", Mode: 0o600}},
	} {
		write(Files{"a": {Data: "1", Mode: 0o600}, "sub/b": {Data: "2", Mode: 0o644}})
		before = link()
		if write(files); link() == before || dirs() != 1 {
			t.Errorf("%s: %s is what was there, in one of %d directories", what, link(), dirs())
		}
	}
}
