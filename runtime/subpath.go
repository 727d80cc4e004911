package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// A Pod's containers write to its volumes while we look for a path in them, so a path that
// was checked may be a link to elsewhere when it is used. What is found is therefore held
// open, and mounted by that handle below the Pod's directory, where no container can change
// a name: that mount is what Docker gets.

// subPathsDir holds the mounts of subPaths, in the Pod's directory.
const subPathsDir = "volume-subpaths"

// subPath makes a part of a volume known under a path that only we can change. A part that
// is missing is made as a directory; in an image it fails the container's creation.
// https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath
func (a *Agent) subPath(pod *v1.Pod, c *v1.Container, mount int, v v1.Volume, sub string) (string, error) {
	fail := func(what string, err error) (string, error) {
		return "", fmt.Errorf("failed to %s for volumeMount %q of container %q: %w", what, c.VolumeMounts[mount].Name, c.Name, err)
	}
	part, err := openPart(a.volumePath(pod.UID, v), sub, v.Image == nil)
	if errors.Is(err, fs.ErrNotExist) && v.Image != nil { // nothing can be made in an image
		return "", &refusedError{fmt.Errorf("ImageVolumeMountFailed: image %s of volume %q has no subPath %q", v.Image.Reference, v.Name, sub)}
	} else if err != nil {
		return fail("create subPath directory", err)
	}
	defer part.Close()
	target := filepath.Join(a.podDir(pod.UID), subPathsDir, v.Name, c.Name, strconv.Itoa(mount))
	if err := bind(part, target); err != nil {
		return fail("prepare subPath", err)
	}
	return target, nil
}

// subPathOf is the path within the volume that a mount declares, in a kubelet's words if it
// is none.
func subPathOf(m v1.VolumeMount, env []string) (sub string, err error) {
	sub = m.SubPath
	if m.SubPathExpr != "" {
		if sub, err = expandStrictly(m.SubPathExpr, env); err != nil {
			return "", err
		}
	}
	switch {
	case filepath.IsAbs(sub):
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", sub)
	case slices.Contains(strings.Split(sub, "/"), ".."):
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", sub)
	}
	return sub, nil
}

// expandStrictly expands $(NAME); a name that is not set, or empty, is an error.
func expandStrictly(text string, env []string) (string, error) {
	values, missing := envMap(env), map[string]bool{}
	out := expansion.Expand(text, func(name string) string {
		if values[name] == "" {
			missing[name] = true
		}
		return values[name]
	})
	if len(missing) > 0 {
		return "", fmt.Errorf("missing value for %s", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	return out, nil
}

// openPart opens a path within a volume as a mere handle (O_PATH): nothing is read, so
// neither a FIFO nor a device can do harm. A link counts if it leads to somewhere in the
// volume. What is missing is made as directories, if makeIt says so.
func openPart(volume, sub string, makeIt bool) (*os.File, error) {
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

// readPart reads a file of a volume, no more than limit bytes of it. What is no file is not
// opened: a FIFO would hold us for ever.
func readPart(volume, path string, limit int64) ([]byte, error) {
	part, err := openPart(volume, path, false)
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

// bind mounts what a handle stands for, in place of what an earlier start of the container
// left there.
func bind(part *os.File, target string) error {
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
