package usage

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Filesystem is the size of one and what is free of it, in bytes and in inodes. One that
// makes inodes as they are needed, such as btrfs, has none.
type Filesystem struct{ Bytes, FreeBytes, Inodes, FreeInodes uint64 }

// FilesystemOf reads the one that a path is on. Free is what is left to others than root.
func FilesystemOf(path string) (Filesystem, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return Filesystem{}, fmt.Errorf("read the filesystem of %s: %w", path, err)
	}
	block := uint64(fs.Bsize)
	return Filesystem{fs.Blocks * block, fs.Bavail * block, fs.Files, fs.Ffree}, nil
}

// FreeMemory is what the kernel can give without swapping, in bytes: MemAvailable of proc(5).
func FreeMemory() (int64, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	memory, err := fs.Meminfo()
	if err != nil {
		return 0, err
	}
	if memory.MemAvailableBytes == nil {
		return 0, errors.New("the kernel does not tell how much memory is available")
	}
	return int64(*memory.MemAvailableBytes), nil
}

// Tasks are the processes and threads of the machine, and how many there may be.
func Tasks() (running, most int64, err error) {
	load, err := os.ReadFile("/proc/loadavg") // such as 0.20 0.18 0.12 1/80 11206
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(load))
	if len(fields) < 4 {
		return 0, 0, fmt.Errorf("/proc/loadavg is %q", load)
	}
	_, all, _ := strings.Cut(fields[3], "/")
	if running, err = strconv.ParseInt(all, 10, 64); err != nil {
		return 0, 0, fmt.Errorf("/proc/loadavg is %q: %w", load, err)
	}
	for _, limit := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		n, err := readNumber(limit)
		if err != nil {
			return 0, 0, err
		}
		if most == 0 || n < most {
			most = n
		}
	}
	return running, most, nil
}
