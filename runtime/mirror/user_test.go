package mirror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUserOfAProcessIsReadAsTheKernelWritesIt(t *testing.T) {
	proc := t.TempDir()
	write(t, filepath.Join(proc, "1/status"), "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t\n")
	write(t, filepath.Join(proc, "2/status"), "Name:\tstrange\n")
	if got := processUser(proc, 1); got == nil || got.Linux.UID != 1 || got.Linux.GID != 5 || got.Linux.SupplementalGroups != nil {
		t.Errorf("got %+v", got)
	}
	for _, pid := range []int{2, 3} {
		if got := processUser(proc, pid); got != nil {
			t.Errorf("process %d: %+v", pid, got)
		}
	}
	if own := processUser("", os.Getpid()); own == nil || own.Linux.UID != int64(os.Getuid()) || own.Linux.GID != int64(os.Getgid()) {
		t.Errorf("this process: %+v", own)
	}
	if got := numbersIn(strings.Repeat("x ", 3)); got != nil {
		t.Errorf("numbers in words: %v", got)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
