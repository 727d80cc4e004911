package usage

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// write makes a file of that many bytes.
func write(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTreeCountsWhatDuDoes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/b/big"), 300_000)
	write(t, filepath.Join(dir, "small"), 1)
	if err := os.Link(filepath.Join(dir, "a/b/big"), filepath.Join(dir, "same")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "small"), 1<<30); err != nil { // holes take nothing
		t.Fatal(err)
	}
	got, err := Tree(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("du", "-s", "--block-size=1", dir).Output()
	if err != nil {
		t.Skipf("no du: %v", err)
	}
	want, _ := strconv.ParseInt(strings.Fields(string(out))[0], 10, 64)
	if got.Bytes != want || got.Inodes != 5 {
		t.Errorf("%+v, want %d bytes of 5 inodes", got, want)
	}
}

func TestTreeLeavesOutWhatLinksLeadTo(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "big"), 300_000)
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if got, err := Tree(t.Context(), dir); err != nil || got.Inodes != 2 || got.Bytes >= 300_000 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTreeCountsDirectoriesOfManyNamesAndMuchDepth(t *testing.T) {
	dir := t.TempDir()
	for n := range 2*namesAtOnce + 1 {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(n)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Deeper than a path can name: a container gets there step by step.
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	name, depth := strings.Repeat("d", 200), 30
	for range depth {
		if err := root.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := root.OpenRoot(name)
		if err != nil {
			t.Fatal(err)
		}
		root.Close()
		root = next
	}
	root.Close()
	if got, err := Tree(t.Context(), dir); err != nil || got.Inodes != int64(1+2*namesAtOnce+1+depth) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTreeOfNothingIsNothing(t *testing.T) {
	if got, err := Tree(t.Context(), filepath.Join(t.TempDir(), "none")); err != nil || got != (Disk{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTreeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Tree(ctx, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestLogsAreCountedWithOlderOnes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"x.log", "x.log.1", "x.log.2", "y.log"} {
		write(t, filepath.Join(dir, name), 4096)
	}
	one, err := Logs(filepath.Join(dir, "y.log"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := Logs(filepath.Join(dir, "x.log"))
	if err != nil || one.Bytes == 0 || all.Bytes != 3*one.Bytes || all.Inodes != 3 {
		t.Errorf("%+v of three like %+v, %v", all, one, err)
	}
	if none, err := Logs(""); err != nil || none.Bytes != 0 {
		t.Errorf("no log: %+v, %v", none, err)
	}
}

func TestMemoryIsReadFromEitherVersion(t *testing.T) {
	for name, c := range map[string]struct{ cgroup, file string }{
		"1":      {"9:memory:/docker/x\n1:name=systemd:/docker/x\n0::/\n", "memory/docker/x/memory.usage_in_bytes"},
		"joined": {"4:hugetlb,memory:/docker/x\n", "hugetlb,memory/docker/x/memory.usage_in_bytes"},
		"2":      {"0::/system.slice/docker-x.scope\n", "system.slice/docker-x.scope/memory.current"},
	} {
		c2 := Cgroups{Proc: t.TempDir(), Root: t.TempDir()}
		for path, content := range map[string]string{filepath.Join(c2.Proc, "7/cgroup"): c.cgroup, filepath.Join(c2.Root, c.file): "12345\n"} {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c2.Memory(7); err != nil || got != 12345 {
			t.Errorf("version %s: %d, %v", name, got, err)
		}
		if _, err := c2.Memory(8); err == nil {
			t.Errorf("version %s: a process that is gone has memory", name)
		}
	}
}

func TestMemoryOfThisProcessIsRead(t *testing.T) {
	got, err := Cgroups{}.Memory(os.Getpid())
	if err != nil || got <= 0 {
		t.Errorf("%d, %v", got, err)
	}
}

// tree writes files below a directory.
func tree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFiguresAreReadFromEitherVersion(t *testing.T) {
	for version, files := range map[string]map[string]string{
		"1": {
			"7/cgroup":                              "9:memory:/docker/x\n5:pids:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/\n",
			"memory/docker/x/memory.usage_in_bytes": "1000\n",
			"memory/docker/x/memory.stat":           "cache 700\nrss 1\ntotal_rss 300\ntotal_inactive_file 400\ntotal_pgfault 9\ntotal_pgmajfault 2\n",
			"cpu,cpuacct/docker/x/cpuacct.usage":    "2500000\n",
			"pids/docker/x/pids.current":            "3\n",
		},
		"2": {
			"7/cgroup":                 "0::/docker/x\n",
			"docker/x/memory.current":  "1000\n",
			"docker/x/memory.stat":     "anon 300\nfile 700\ninactive_file 400\npgfault 9\npgmajfault 2\n",
			"docker/x/pids.current":    "3\n",
			"docker/x/cpu.stat":        "usage_usec 2500\nuser_usec 2000\n",
			"docker/x/cgroup.controls": "",
		},
	} {
		dir := t.TempDir()
		tree(t, dir, files)
		c := Cgroups{Proc: dir, Root: dir}
		if got, err := c.MemoryStat(7); err != nil || got != (MemoryStat{Usage: 1000, WorkingSet: 600, RSS: 300, Faults: 9, MajorFaults: 2}) {
			t.Errorf("version %s: memory %+v, %v", version, got, err)
		}
		if got, err := c.Processes(7); err != nil || got != 3 {
			t.Errorf("version %s: %d processes, %v", version, got, err)
		}
		if got, err := c.CPU(7); err != nil || got != 2500*time.Microsecond {
			t.Errorf("version %s: CPU %v, %v", version, got, err)
		}
	}
}

func TestFiguresOfThisProcessAreRead(t *testing.T) {
	memory, err := Cgroups{}.MemoryStat(os.Getpid())
	if err != nil || memory.WorkingSet <= 0 || memory.WorkingSet > memory.Usage {
		t.Errorf("memory %+v, %v", memory, err)
	}
	cpu, err := Cgroups{}.CPU(os.Getpid())
	if err != nil || cpu <= 0 {
		t.Errorf("CPU %v, %v", cpu, err)
	}
}
