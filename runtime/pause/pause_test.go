package pause

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait here. What is waited for takes milliseconds; the rest is for a loaded machine.
const patience = 30 * time.Second

func TestPauseEndsWithZeroOnSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := start(t, &syscall.SysProcAttr{})
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("ended with %v, want exit code 0", err)
			}
		})
	}
}

func TestPauseEndsWithZeroAsPID1(t *testing.T) {
	cmd := startAsPID1(t)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v, want exit code 0", err)
	}
}

func TestPauseGoesOnWaitingAfterStopAndContinue(t *testing.T) {
	cmd := start(t, &syscall.SysProcAttr{})
	cmd.Process.Signal(syscall.SIGSTOP)
	eventually(t, "pause stops", func() bool { return state(cmd.Process.Pid) == "T" })
	cmd.Process.Signal(syscall.SIGCONT)
	waitUntilBlocked(t, strconv.Itoa(cmd.Process.Pid))
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v, want exit code 0", err)
	}
}

// Two ways for pid 1 to get an orphan: it is alive and dies later, or it is dead already and its parent dies unreaping.
func TestPauseReapsOrphansAsPID1(t *testing.T) {
	t.Run("that dies later", func(t *testing.T) {
		init := startAsPID1(t)
		inNamespace(t, init.Process.Pid, "sleep 1000 & exit 0").Wait()
		orphan := childOf(t, init.Process.Pid)
		syscall.Kill(orphan, syscall.SIGKILL)
		eventually(t, "the orphan is reaped", func() bool { return state(orphan) == "" })
	})
	t.Run("that is a zombie already", func(t *testing.T) {
		init := startAsPID1(t)
		parent := childOf(t, inNamespace(t, init.Process.Pid, "true & exec sleep 1000").Process.Pid)
		zombie := childOf(t, parent)
		eventually(t, "the child is a zombie", func() bool { return state(zombie) == "Z" })
		syscall.Kill(parent, syscall.SIGKILL)
		eventually(t, "the zombie is reaped", func() bool { return state(zombie) == "" })
	})
}

func start(t *testing.T, attr *syscall.SysProcAttr) *exec.Cmd {
	t.Helper()
	// A copy, because a checkout may have lost the file's mode.
	path := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	attr.Pdeathsig = syscall.SIGKILL
	cmd := exec.Command(path)
	cmd.SysProcAttr = attr
	// The parent's death signal follows the thread that forks, not the process.
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitUntilBlocked(t, strconv.Itoa(cmd.Process.Pid))
	return cmd
}

func startAsPID1(t *testing.T) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a pid namespace needs root")
	}
	return start(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
}

// inNamespace starts a shell script in the pid namespace of init, as an engine's exec does: by a process outside
// (the one returned), so that the script's own parent is not in the namespace.
func inNamespace(t *testing.T, init int, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("nsenter", "--target", strconv.Itoa(init), "--pid", "sh", "-c", script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The script itself ends with its namespace at the latest, so that Wait returns.
	t.Cleanup(func() { syscall.Kill(init, syscall.SIGKILL); cmd.Wait() })
	return cmd
}

// waitUntilBlocked returns when the process sleeps in rt_sigtimedwait without a timeout: it takes signals, and nothing
// but a signal wakes it.
func waitUntilBlocked(t *testing.T, pid string) {
	t.Helper()
	number := map[string]string{"amd64": "128", "arm64": "137"}[runtime.GOARCH]
	eventually(t, "pause blocks for good", func() bool {
		data, err := os.ReadFile("/proc/" + pid + "/syscall")
		if os.IsPermission(err) {
			t.Skip("reading another process's syscall needs root")
		}
		fields := strings.Fields(string(data))
		return len(fields) > 3 && fields[0] == number && fields[3] == "0x0"
	})
}

// state is the process's state letter as in proc_pid_stat(5), "" when there is no such process.
func state(pid int) string {
	letter, _ := stat(pid)
	return letter
}

func stat(pid int) (letter string, parent int) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

// childOf waits for a process to have a child and returns its pid.
func childOf(t *testing.T, parent int) (child int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d has a child", parent), func() bool {
		entries, _ := filepath.Glob("/proc/[0-9]*")
		for _, entry := range entries {
			pid, _ := strconv.Atoi(filepath.Base(entry))
			if _, p := stat(pid); p == parent {
				child = pid
				return true
			}
		}
		return false
	})
	return child
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}
