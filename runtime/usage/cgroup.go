package usage

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Cgroups reads the control groups of processes. The zero value reads this machine's.
type Cgroups struct {
	Proc string // default /proc
	Root string // default /sys/fs/cgroup
}

// Memory is what the cgroup of a process uses, in bytes, page cache included: what a
// kubelet calls usage.
func (c Cgroups) Memory(pid int) (int64, error) {
	dir, unified, err := c.Dir(pid, "memory")
	if err != nil {
		return 0, err
	}
	if unified {
		return readNumber(filepath.Join(dir, "memory.current"))
	}
	return readNumber(filepath.Join(dir, "memory.usage_in_bytes"))
}

// Dir is where a controller keeps its files of a process's cgroup. Unified tells that it
// is one of version 2, where all controllers share a directory. See cgroups(7).
func (c Cgroups) Dir(pid int, controller string) (dir string, unified bool, err error) {
	proc, root := c.Proc, c.root()
	if proc == "" {
		proc = "/proc"
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

func (c Cgroups) root() string {
	if c.Root == "" {
		return "/sys/fs/cgroup"
	}
	return c.Root
}

// Hierarchies are the directories below which a group may have one of its own: that of
// version 2, and one for each hierarchy of version 1.
func (c Cgroups) Hierarchies() []string {
	out := []string{c.root()}
	entries, _ := os.ReadDir(c.root()) // a machine without has no groups
	for _, e := range entries {
		if e.IsDir() { // a link leads to another of them
			out = append(out, filepath.Join(c.root(), e.Name()))
		}
	}
	return out
}

// OOMKills counts the processes of a process's cgroup that the kernel ended for want of
// memory, whether that of the group was used up or that of one around it.
func (c Cgroups) OOMKills(pid int) (int64, error) {
	dir, unified, err := c.Dir(pid, "memory")
	if err != nil {
		return 0, err
	}
	file := "memory.oom_control"
	if unified {
		file = "memory.events"
	}
	fields, err := readFields(filepath.Join(dir, file))
	return fields["oom_kill"], err
}

// readNumber reads a file that holds one.
func readNumber(path string) (int64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
}

// MemoryStat is what of a cgroup's memory is of which kind, in bytes.
type MemoryStat struct {
	Usage int64 // page cache included
	// WorkingSet is what cannot be given back at once: the usage without the part of the
	// page cache that was not used lately. It is what a kubelet evicts by.
	WorkingSet int64
	RSS        int64 // anonymous memory
	// Faults counts page faults since the cgroup's start, MajorFaults those that had to
	// read a disk. They are no bytes.
	Faults, MajorFaults int64
}

// MemoryStat reads the memory of a process's cgroup.
func (c Cgroups) MemoryStat(pid int) (MemoryStat, error) {
	usage, err := c.Memory(pid)
	if err != nil {
		return MemoryStat{}, err
	}
	dir, unified, err := c.Dir(pid, "memory")
	if err != nil {
		return MemoryStat{}, err
	}
	inactive, rss, faults, major := "total_inactive_file", "total_rss", "total_pgfault", "total_pgmajfault"
	if unified {
		inactive, rss, faults, major = "inactive_file", "anon", "pgfault", "pgmajfault"
	}
	fields, err := readFields(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return MemoryStat{}, err
	}
	return MemoryStat{Usage: usage, WorkingSet: max(0, usage-fields[inactive]), RSS: fields[rss],
		Faults: fields[faults], MajorFaults: fields[major]}, nil
}

// CPU is the time that the cgroup of a process has had of all cores together.
func (c Cgroups) CPU(pid int) (time.Duration, error) {
	dir, unified, err := c.Dir(pid, "cpuacct")
	if err != nil {
		return 0, err
	}
	if !unified {
		nanoseconds, err := readNumber(filepath.Join(dir, "cpuacct.usage"))
		return time.Duration(nanoseconds), err
	}
	fields, err := readFields(filepath.Join(dir, "cpu.stat"))
	return time.Duration(fields["usage_usec"]) * time.Microsecond, err
}

// Processes counts the processes and threads of a process's cgroup.
func (c Cgroups) Processes(pid int) (int64, error) {
	dir, _, err := c.Dir(pid, "pids")
	if err != nil {
		return 0, err
	}
	return readNumber(filepath.Join(dir, "pids.current"))
}

// readFields reads a file of lines that are a name and a number.
func readFields(path string) (map[string]int64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for line := range strings.Lines(string(content)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			out[name] = n
		}
	}
	return out, nil
}
