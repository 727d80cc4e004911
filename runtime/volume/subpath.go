package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Pod's containers write to its volumes while we look for a path in them, so a path that
// was checked may be a link to elsewhere when it is used. What is found is therefore held
// open, and mounted by that handle below the Pod's directory, where no container can change
// a name: that mount is what the engine gets.

// OpenSubPath opens a path within a volume, a directory, as a mere handle (O_PATH): nothing is
// read, so neither a FIFO nor a device can do harm. The path is relative; an empty one is the
// volume itself. A link counts if it leads to somewhere in the volume, else it is an error.
// What is missing is made as directories of the volume's own mode if makeIt says so, or is
// an error that is fs.ErrNotExist. Of several calls at once for one path all succeed.
func OpenSubPath(volume, sub string, makeIt bool) (*os.File, error) {
	root, err := filepath.EvalSymlinks(volume)
	if err != nil {
		return nil, err
	}
	path, err := locate(root, sub)
	if err != nil {
		return nil, err
	}
	at, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	var volumes unix.Stat_t
	if err := unix.Fstat(at, &volumes); err != nil {
		return nil, errors.Join(err, unix.Close(at))
	}
	mode := volumes.Mode & (unix.S_ISGID | unix.S_ISVTX | 0o777)
	for _, name := range strings.Split(path, "/") {
		if name == "." {
			continue
		}
		next, err := openStep(at, name)
		if errors.Is(err, unix.ENOENT) && makeIt {
			next, err = makeStep(at, name, mode)
		}
		_ = unix.Close(at) // a handle has nothing to lose
		if err != nil {
			return nil, fmt.Errorf("open %s of %s: %w", name, path, err)
		}
		at = next
	}
	return os.NewFile(uintptr(at), sub), nil
}

// ReadFile reads a file of a volume, no more than limit bytes of it. What is no regular file
// is not opened and an error: a FIFO would hold us for ever.
func ReadFile(volume, path string, limit int64) ([]byte, error) {
	part, err := OpenSubPath(volume, path, false)
	if err != nil {
		return nil, err
	}
	defer part.Close()
	if info, err := part.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(handlePath(part))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}

// handlePath is a path of the kernel's that stands for an open handle, whatever became of
// its name.
func handlePath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// locate resolves the links of a path below root, as far as it exists, and returns it
// relative to root.
func locate(root, sub string) (string, error) {
	at, missing := filepath.Join(root, sub), ""
	for {
		found, err := filepath.EvalSymlinks(at)
		if errors.Is(err, fs.ErrNotExist) && at != root {
			at, missing = filepath.Dir(at), filepath.Join(filepath.Base(at), missing)
			continue
		}
		if err != nil {
			return "", err
		}
		path, err := filepath.Rel(root, found)
		if err != nil || !filepath.IsLocal(path) {
			return "", fmt.Errorf("%q leads out of the volume", sub)
		}
		return filepath.Join(path, missing), nil
	}
}

// openStep opens a name in a directory. Links were resolved before: this is one that was
// put there since.
func openStep(dir int, name string) (int, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fd, err
	}
	var stat unix.Stat_t
	if err = unix.Fstat(fd, &stat); err == nil && stat.Mode&unix.S_IFMT == unix.S_IFLNK {
		err = unix.ELOOP
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// makeStep makes a directory that whoever can write to the volume can write to, whatever
// the daemon's umask says, and opens it.
func makeStep(dir int, name string, mode uint32) (int, error) {
	err := unix.Mkdirat(dir, name, 0o700)
	if errors.Is(err, unix.EEXIST) { // another container of the Pod was faster
		return openStep(dir, name)
	} else if err != nil {
		return -1, err
	}
	fd, err := unix.Openat(dir, name, unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// Bind mounts what a handle stands for at target, in place of what an earlier call left there,
// and makes the directories above it. The handle may be closed then. Target must lie where no
// container can change a name.
func Bind(part *os.File, target string) error {
	if err := unmountStack(target); err != nil {
		return err
	}
	info, err := part.Stat()
	if err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(target, 0o750)
	} else {
		err = os.WriteFile(target, nil, 0o640)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(handlePath(part), target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount it at %s: %w", target, err)
	}
	return nil
}

// unmountStack unmounts all that is mounted on one path.
func unmountStack(path string) error {
	for {
		switch err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); {
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT): // nothing is mounted there
			return nil
		case err != nil:
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}
