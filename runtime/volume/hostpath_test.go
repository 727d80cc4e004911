package volume

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestHostPathsAreOfTheDeclaredType(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	for _, c := range []struct {
		path string
		kind v1.HostPathType
		want string // part of the error; empty: it fits
	}{
		{dir, v1.HostPathUnset, ""}, {at("file"), v1.HostPathUnset, ""}, {at("new/unset"), v1.HostPathUnset, ""},
		{dir, v1.HostPathDirectory, ""}, {at("file"), v1.HostPathDirectory, "is not a directory"}, {at("none"), v1.HostPathDirectory, "none is not a directory"},
		{dir, v1.HostPathDirectoryOrCreate, ""}, {at("new/dir"), v1.HostPathDirectoryOrCreate, ""}, {at("file"), v1.HostPathDirectoryOrCreate, "is not a directory"},
		{at("file"), v1.HostPathFile, ""}, {dir, v1.HostPathFile, "is not a file"}, {at("none"), v1.HostPathFile, "none is not a file"},
		{at("file"), v1.HostPathFileOrCreate, ""}, {at("created"), v1.HostPathFileOrCreate, ""}, {dir, v1.HostPathFileOrCreate, "is not a file"},
		{at("socket"), v1.HostPathSocket, ""}, {at("file"), v1.HostPathSocket, "is not a socket file"},
		{"/dev/null", v1.HostPathCharDev, ""}, {at("file"), v1.HostPathCharDev, "is not a character device"},
		{"/dev/null", v1.HostPathBlockDev, "is not a block device"}, {dir, v1.HostPathBlockDev, "is not a block device"},
	} {
		err := CheckHostPath(c.path, c.kind)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %q: got %v, want %q", c.path, c.kind, err, c.want)
		}
	}
	for path, isDir := range map[string]bool{"new/unset": true, "new/dir": true, "created": false} {
		if info, err := os.Stat(at(path)); err != nil || info.IsDir() != isDir {
			t.Errorf("%s: %v", path, err)
		}
	}
}
