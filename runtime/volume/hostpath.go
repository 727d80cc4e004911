package volume

import (
	"fmt"
	"io/fs"
	"os"

	v1 "k8s.io/api/core/v1"
)

// hostPathWords are a kubelet's for the types.
var hostPathWords = map[v1.HostPathType]string{
	v1.HostPathDirectory: "directory", v1.HostPathDirectoryOrCreate: "directory", v1.HostPathFile: "file", v1.HostPathFileOrCreate: "file",
	v1.HostPathSocket: "socket file", v1.HostPathCharDev: "character device", v1.HostPathBlockDev: "block device",
}

// CheckHostPath makes sure that a path of the host is of that type, following links. For the
// types that say so, and for HostPathUnset, what is missing is made: a directory of mode 0755
// with those above it, a file of mode 0644 in a directory that is there. The error is in a
// kubelet's words.
// https://kubernetes.io/docs/concepts/storage/volumes/#hostpath
func CheckHostPath(path string, kind v1.HostPathType) error {
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		switch kind {
		case v1.HostPathUnset, v1.HostPathDirectoryOrCreate:
			return os.MkdirAll(path, 0o755)
		case v1.HostPathFileOrCreate:
			return os.WriteFile(path, nil, 0o644)
		}
	}
	var mode fs.FileMode
	switch {
	case err == nil:
		mode = info.Mode()
	case kind == v1.HostPathUnset:
		return fmt.Errorf("hostPath type check failed: %w", err)
	default: // what cannot be found is of no type
		mode = fs.ModeIrregular
	}
	fits := map[v1.HostPathType]bool{
		v1.HostPathUnset:             true,
		v1.HostPathDirectory:         mode.IsDir(),
		v1.HostPathDirectoryOrCreate: mode.IsDir(),
		v1.HostPathFile:              mode.IsRegular(),
		v1.HostPathFileOrCreate:      mode.IsRegular(),
		v1.HostPathSocket:            mode&fs.ModeSocket != 0,
		v1.HostPathCharDev:           mode&fs.ModeCharDevice != 0,
		v1.HostPathBlockDev:          mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0,
	}
	if !fits[kind] {
		return fmt.Errorf("hostPath type check failed: %s is not a %s", path, hostPathWords[kind])
	}
	return nil
}
