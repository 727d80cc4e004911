package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// exitSignalled and the number of the signal that ended a process is its code for a shell.
	exitSignalled = 128
	// childGrace is how long the process may take to end after SIGTERM, as a pod's containers have by default.
	childGrace = 30 * time.Second

	resolvConfPath = "/etc/resolv.conf"
)

// child is the process of --run. Nil is none.
type child struct {
	process *os.Process
	done    chan int // its exit code, once
	// terminal tells that the terminal's keys are signals for the process already.
	terminal bool
}

// startChild starts the command with the pod's variables over our own, and the pod's DNS.
func (i *interception) startChild(variables []variable, resolvConf string) (*child, error) {
	cmd := exec.Command(i.command[0], i.command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = i.streams.In, i.streams.Out, i.streams.ErrOut
	cmd.Env = os.Environ()
	for _, v := range variables {
		cmd.Env = append(cmd.Env, v.name+"="+v.value)
	}
	// The kernel ends it when we are killed; what it is told of is our thread, so the thread stays.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started, done := make(chan error), make(chan int, 1)
	go func() {
		goruntime.LockOSThread() // for good: the thread ends with its mounts
		err := privateResolvConf(resolvConf)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says it
			done <- exitCode(cmd.ProcessState)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("intercept: --run %s: %w", i.command[0], err)
	}
	return &child{cmd.Process, done, inForeground()}, nil
}

// resolvedSocket is where libc's nss-resolve asks systemd-resolved, past any resolv.conf.
const resolvedSocket = "/run/systemd/resolve/io.systemd.Resolve"

// privateResolvConf gives this thread, and the processes that it starts, an /etc/resolv.conf of their own, with what the
// machine's says of search domains behind, and has libc go by it. Everything else on disk is the machine's.
func privateResolvConf(text string) error {
	machine, err := os.ReadFile(resolvConfPath)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "kube-lite-resolv-*.conf")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // the mount keeps it
	_, err = file.WriteString(withSearches(text, string(machine)))
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	binds := map[string]string{resolvConfPath: file.Name()}
	if _, err := os.Stat(resolvedSocket); err == nil {
		binds[resolvedSocket] = os.DevNull
	}
	return privateMounts(binds)
}

// privateMounts shows this thread, and the processes that it starts, other files in place of those that are the keys. The
// thread has to be locked, and must not be used for anything else afterwards.
func privateMounts(binds map[string]string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	for at, from := range binds {
		if err := unix.Mount(from, at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", at, err)
		}
	}
	return nil
}

// withSearches adds the search domains of the machine's file to those of a pod's, as a kubelet does.
func withSearches(pod, machine string) string {
	var domains []string
	for line := range strings.Lines(machine) {
		if fields := strings.Fields(line); len(fields) > 1 && (fields[0] == "search" || fields[0] == "domain") {
			domains = fields[1:] // the last line counts
		}
	}
	first, rest, _ := strings.Cut(pod, "\n")
	for _, domain := range domains {
		if domain != "." {
			first += " " + domain
		}
	}
	return first + "\n" + rest
}

func exitCode(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignalled + int(status.Signal())
	}
	return s.ExitCode()
}

// inForeground tells whether the keys of a terminal are signals for this process's group, which the child is in.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// signal hands a signal on.
func (c *child) signal(s os.Signal) {
	if c.terminal && (s == os.Interrupt || s == syscall.SIGQUIT) {
		return
	}
	_ = c.process.Signal(s) // it may have ended
}

// ended has the exit code when there is one.
func (c *child) ended() <-chan int {
	if c == nil {
		return nil
	}
	return c.done
}

// stop ends the process, if there is one.
func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(childGrace):
		_ = c.process.Kill()
		<-c.done
	}
}
