package docker

import (
	"archive/tar"
	"testing"
	"time"
)

func TestFilesOfTheEngineAreToldFromTheImages(t *testing.T) {
	made := time.Date(2001, 2, 3, 4, 5, 6, 500, time.UTC)
	second := made.Truncate(time.Second) // archives know no more of a time
	for _, c := range []struct {
		what string
		file tar.Header
		want bool
	}{
		{"the engine's", tar.Header{Typeflag: tar.TypeReg, Name: "etc/hosts", ModTime: second}, true},
		{"a directory of the engine's", tar.Header{Typeflag: tar.TypeDir, Name: "proc/", ModTime: second}, true},
		{"one that was there before", tar.Header{Typeflag: tar.TypeReg, Name: "etc/hosts", ModTime: second.Add(-time.Second)}, false},
		{"one with a text", tar.Header{Typeflag: tar.TypeReg, Name: "etc/hosts", ModTime: second, Size: 1}, false},
		{"one of another kind", tar.Header{Typeflag: tar.TypeSymlink, Name: "etc/hosts", ModTime: second}, false},
		{"one of another name", tar.Header{Typeflag: tar.TypeReg, Name: "etc/own", ModTime: second}, false},
	} {
		if got := IsEngines(&c.file, made); got != c.want {
			t.Errorf("%s: %t, want %t", c.what, got, c.want)
		}
	}
}
