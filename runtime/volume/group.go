package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// What a group that owns a volume may do with the files in it, and what directories hand on.
const (
	groupFile = 0o660
	groupDir  = 0o770 | unix.S_ISGID
)

// groupDepth is how deep a volume is gone through: each level holds a descriptor, and a
// container can make any number of them.
const groupDepth = 500

// HasGroup tells whether a directory is as SetGroup leaves it. It looks at nothing below.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#configure-volume-permission-and-ownership-change-policy-for-pods
func HasGroup(dir string, group int64) (bool, error) {
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		return false, fmt.Errorf("look at %s: %w", dir, err)
	}
	isDir := stat.Mode&unix.S_IFMT == unix.S_IFDIR
	return isDir && int64(stat.Gid) == group && stat.Mode&groupDir == groupDir, nil
}

// SetGroup gives a directory and all that is in it to a group, which may read and write
// everything then, and owns what is made in it later. It follows no link, stays on one
// filesystem and leaves alone what is right already. The directory itself comes last: after
// an error, or the end of ctx, HasGroup still tells that something is to be done.
func SetGroup(ctx context.Context, dir string, group int64) error {
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &stat); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	g := grouping{ctx: ctx, group: int(group), device: stat.Dev}
	if err := g.visit(int(root.Fd()), ".", 0); err != nil {
		return fmt.Errorf("give %s to the group %d: %w", dir, group, err)
	}
	return nil
}

// grouping is one call of SetGroup.
type grouping struct {
	ctx    context.Context //nolint:containedctx // lives as long as one call
	group  int
	device uint64
}

// visit changes one name in a directory, after all that lies below it. What is a link, or
// became one, is changed itself: the handle is of what the name stood for.
func (g *grouping) visit(dir int, name string, depth int) error {
	if err := g.ctx.Err(); err != nil {
		return err
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) && depth > 0 { // it was removed meanwhile
		return nil
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	handle := os.NewFile(uintptr(fd), name)
	defer handle.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if stat.Dev != g.device {
		return nil
	}
	mode := uint32(groupFile)
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		mode = groupDir
		if err := g.below(fd, depth); err != nil {
			return err
		}
	}
	return g.change(handle, &stat, mode)
}

// below visits what is in a directory.
func (g *grouping) below(dir, depth int) error {
	if depth == groupDepth {
		return nil
	}
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	list := os.NewFile(uintptr(fd), ".")
	names, err := list.Readdirnames(-1)
	if err := errors.Join(err, list.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if err := g.visit(dir, name, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// change gives a file its group and adds to its mode. A new group takes the bits of set-user-ID
// programs away, so the mode is set after it.
func (g *grouping) change(file *os.File, stat *unix.Stat_t, mode uint32) error {
	moved := int(stat.Gid) != g.group
	if moved {
		if err := unix.Fchownat(int(file.Fd()), "", -1, g.group, unix.AT_EMPTY_PATH); err != nil {
			return &fs.PathError{Op: "chown", Path: file.Name(), Err: err}
		}
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFLNK || !moved && stat.Mode&mode == mode {
		return nil
	}
	if err := unix.Chmod(handlePath(file), stat.Mode&0o7777|mode); err != nil {
		return &fs.PathError{Op: "chmod", Path: file.Name(), Err: err}
	}
	return nil
}
