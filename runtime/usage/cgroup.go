package usage

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Cgroups reads the control groups of processes. The zero value reads this machine's.
type Cgroups struct {
	Proc string // default /proc
	Root string // default /sys/fs/cgroup
}

// Memory is what the cgroup of a process uses, in bytes, page cache included: what a
// kubelet calls usage.
func (c Cgroups) Memory(pid int) (int64, error) {
	dir, unified, err := c.dir(pid, "memory")
	if err != nil {
		return 0, err
	}
	if unified {
		return readNumber(filepath.Join(dir, "memory.current"))
	}
	return readNumber(filepath.Join(dir, "memory.usage_in_bytes"))
}

// Unified is the directory of a process's cgroup where there is version 2; empty where
// version 1 bounds memory.
func (c Cgroups) Unified(pid int) (string, error) {
	dir, unified, err := c.dir(pid, "memory")
	if err != nil || !unified {
		return "", err
	}
	return dir, nil
}

// dir is where a controller keeps its files of a process's cgroup. Unified tells that it
// is one of version 2, where all controllers share a directory. See cgroups(7).
func (c Cgroups) dir(pid int, controller string) (dir string, unified bool, err error) {
	proc, root := c.Proc, c.Root
	if proc == "" {
		proc = "/proc"
	}
	if root == "" {
		root = "/sys/fs/cgroup"
	}
	content, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return "", false, fmt.Errorf("find the cgroup of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(content)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, name := range strings.Split(parts[1], ",") {
			if name == controller {
				return filepath.Join(root, parts[1], parts[2]), false, nil
			}
		}
		if parts[0] == "0" && parts[1] == "" { // the last line, if there are others
			dir = filepath.Join(root, parts[2])
		}
	}
	if dir == "" {
		return "", false, fmt.Errorf("process %d is in no cgroup of %s", pid, controller)
	}
	return dir, true, nil
}

// readNumber reads a file that holds one.
func readNumber(path string) (int64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
}
