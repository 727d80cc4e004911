package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// procDir is where processes are.
const procDir = "/proc"

// Reaches tells whether a process sees what this one mounts below dir: always in the same mount namespace, else if
// mounts propagate to its own. The error says that this cannot be found out.
// See mount_namespaces(7).
func Reaches(pid int, dir string) (bool, error) {
	process := filepath.Join(procDir, strconv.Itoa(pid))
	own, err := os.Readlink(filepath.Join(procDir, "thread-self/ns/mnt"))
	if err != nil {
		return false, err
	}
	its, err := os.Readlink(filepath.Join(process, "ns/mnt"))
	if err != nil || own == its {
		return own == its, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // its links lead from its own root
		return false, err
	}
	probe, err := os.MkdirTemp(dir, "mount-")
	if err != nil {
		return false, err
	}
	defer os.Remove(probe)
	if err := unix.Mount("tmpfs", probe, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=4k"); err != nil {
		return false, fmt.Errorf("mount a file system to see who sees it: %w", err)
	}
	defer unix.Unmount(probe, unix.MNT_DETACH)
	var here, there unix.Stat_t
	if err := unix.Stat(probe, &here); err != nil {
		return false, err
	}
	err = unix.Stat(filepath.Join(process, "root", probe), &there)
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := os.Stat(process); gone != nil {
			return false, gone
		}
		return false, nil
	}
	return err == nil && here.Dev == there.Dev, err
}
