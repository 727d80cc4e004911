package usage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Disk is what files take of a filesystem.
type Disk struct {
	Bytes  int64 // of allocated blocks, as du(1) counts
	Inodes int64
}

// Add is the sum of two.
func (d Disk) Add(other Disk) Disk { return Disk{d.Bytes + other.Bytes, d.Inodes + other.Inodes} }

// blockSize is the unit of st_blocks, whatever the filesystem's own; see stat(2).
const blockSize = 512

const (
	// namesAtOnce is how many names of a directory are held in memory. Containers make
	// directories of millions.
	namesAtOnce = 1000
	// maxDepth is how many directories are open at a time, one below the other. What lies
	// deeper is left out: few paths can name it (PATH_MAX), and descriptors are scarce.
	maxDepth = 500
)

// Tree measures everything at and below a path without leaving its filesystem, following
// no link, be it one that takes a directory's place meanwhile. A file with several names
// counts once. What vanishes meanwhile, or was not there, counts nothing. It returns early
// with ctx's error.
func Tree(ctx context.Context, path string) (Disk, error) {
	w := walk{ctx: ctx, seen: map[uint64]bool{}}
	err := w.visit(unix.AT_FDCWD, path, 0)
	if err != nil {
		err = fmt.Errorf("measure %s: %w", path, err)
	}
	return w.sum, err
}

// walk is one measurement.
type walk struct {
	ctx    context.Context //nolint:containedctx // lives as long as one call
	device uint64
	seen   map[uint64]bool // inodes with several names
	sum    Disk
}

// visit counts one name in a directory, and what lies below it.
func (w *walk) visit(dir int, name string, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Fstatat(dir, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return unlessGone(name, err)
	}
	if depth == 0 {
		w.device = stat.Dev
	} else if stat.Dev != w.device {
		return nil
	}
	w.sum.count(&stat, w.seen)
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR || depth == maxDepth {
		return nil
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return unlessGone(name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	for {
		names, err := f.Readdirnames(namesAtOnce)
		for _, below := range names {
			if err := w.visit(fd, below, depth+1); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return unlessGone(name, err)
		}
	}
}

// unlessGone is the error, but for a file that vanished or became another.
func unlessGone(name string, err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (d *Disk) count(stat *unix.Stat_t, seen map[uint64]bool) {
	if stat.Nlink > 1 && stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		if seen[stat.Ino] {
			return
		}
		seen[stat.Ino] = true
	}
	d.Inodes++
	d.Bytes += stat.Blocks * blockSize
}

// Logs measures a container's log file and the older ones beside it, which have the same
// name with a number behind.
func Logs(path string) (Disk, error) {
	var sum Disk
	if path == "" {
		return sum, nil
	}
	older, err := filepath.Glob(path + ".*")
	if err != nil {
		return sum, err
	}
	for _, file := range append(older, path) {
		var stat unix.Stat_t
		if err := unix.Lstat(file, &stat); errors.Is(err, unix.ENOENT) { // rotated away
			continue
		} else if err != nil {
			return sum, fmt.Errorf("measure %s: %w", file, err)
		}
		sum.count(&stat, map[uint64]bool{})
	}
	return sum, nil
}
