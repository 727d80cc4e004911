package volume

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestArchiveKeepsTimesAndLeavesOutWhatItIsTold(t *testing.T) {
	at, dir := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), t.TempDir()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755, ModTime: at}, {Typeflag: tar.TypeReg, Name: "etc/hosts", ModTime: at},
		{Typeflag: tar.TypeSymlink, Name: "etc/link", Linkname: "own"}, // before any file comes with its directory
		{Typeflag: tar.TypeReg, Name: "etc/own", Mode: 0o644, ModTime: at}, {Typeflag: tar.TypeDir, Name: "proc/", ModTime: at},
	} {
		h.Uid, h.Gid = os.Getuid(), os.Getgid()
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	unwanted := func(h *tar.Header) bool { return h.Name == "etc/hosts" || h.Name == "proc/" || h.Name == "etc/" }
	if err := Untar(&archive, dir, unwanted); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "etc/own")); err != nil || !info.ModTime().Equal(at) {
		t.Errorf("%v, %v", info, err)
	}
	if link, err := os.Readlink(filepath.Join(dir, "etc/link")); link != "own" {
		t.Errorf("a link leads to %q, %v", link, err)
	}
	for _, name := range []string{"etc/hosts", "proc"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
}

func TestArchiveStaysInItsDirectory(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeSymlink, Name: "link", Linkname: outside, Uid: os.Getuid(), Gid: os.Getgid()},
		{Typeflag: tar.TypeReg, Name: "link/file", Mode: 0o644, Uid: os.Getuid(), Gid: os.Getgid()},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Untar(&archive, dir, func(*tar.Header) bool { return false }); err == nil {
		t.Error("a file was written through a link that leads out")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside: %v", left)
	}
}
