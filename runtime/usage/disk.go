package usage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
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

// Tree measures everything at and below a path without leaving its filesystem. A file with
// several names counts once. What vanishes meanwhile, or was not there, counts nothing. It
// returns early with ctx's error.
func Tree(ctx context.Context, path string) (Disk, error) {
	var sum Disk
	var device uint64
	seen := map[uint64]bool{} // inodes with several names
	err := filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				stat := info.Sys().(*syscall.Stat_t) // what Linux has
				if at == path {
					device = uint64(stat.Dev)
				}
				if uint64(stat.Dev) != device {
					return skip(entry)
				}
				sum.count(stat, seen)
				return nil
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return sum, err
}

func skip(entry fs.DirEntry) error {
	if entry.IsDir() {
		return filepath.SkipDir
	}
	return nil
}

func (d *Disk) count(stat *syscall.Stat_t, seen map[uint64]bool) {
	if stat.Nlink > 1 && stat.Mode&syscall.S_IFMT != syscall.S_IFDIR {
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
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) { // rotated away
			continue
		} else if err != nil {
			return sum, err
		}
		sum.count(info.Sys().(*syscall.Stat_t), nil)
	}
	return sum, nil
}
