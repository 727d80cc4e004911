package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"
)

// A command that ends may leave processes that hold its output open, as `sleep 300 &` does.
// Docker waits for them for two seconds (see outputHeld), and until then hears of no other
// command's end in the same container: commands that come faster than that wait longer each time.

const (
	// reapAfter is how long a command may take before it is looked at: most end sooner.
	reapAfter = 100 * time.Millisecond
	// reapPollMost is the longest pause between two looks whether a command has ended.
	reapPollMost = 200 * time.Millisecond
	// reapDrain is how long after a command's end its output may take to arrive.
	reapDrain = 50 * time.Millisecond
	// reapGivesUp is how long after its end, and that of all in its session, the output of a
	// command may be held open by somebody else.
	reapGivesUp = 500 * time.Millisecond
	// outputHeld is how long Docker itself waits for the output of a command that has ended.
	outputHeld = 2 * time.Second
)

// errOutputHeld is why a command is not run.
var errOutputHeld = errors.New("an earlier command has ended, but left a process in a session of its own that holds the command's output open")

// heldOutputs are the containers in which Docker waits for the output of a command.
type heldOutputs struct {
	mu    sync.Mutex // guards until
	until map[string]time.Time
}

// note remembers that Docker waits.
func (h *heldOutputs) note(id string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until == nil {
		h.until = map[string]time.Time{}
	}
	for other, until := range h.until {
		if now.After(until) {
			delete(h.until, other)
		}
	}
	h.until[id] = now.Add(outputHeld)
}

func (h *heldOutputs) has(id string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.until[id])
}

// reap watches over a command whose output is being read. What the function that it returns says
// is whether the output was given up, by let: it is to be called when the reading has ended.
func (e *Engine) reap(ctx context.Context, id, exec string, let func()) (ended func() (givenUp bool)) {
	ctx, cancel := context.WithCancel(ctx)
	result := make(chan bool, 1)
	go func() {
		givenUp := e.reapLeft(ctx, id, exec)
		if givenUp {
			let()
		}
		result <- givenUp
	}()
	return func() bool {
		cancel()
		return <-result
	}
}

// reapLeft kills what a command leaves behind. It returns true if somebody holds the output
// nevertheless; ctx ends with the output.
func (e *Engine) reapLeft(ctx context.Context, id, exec string) bool {
	if !pause(ctx, reapAfter) {
		return false
	}
	i, err := e.execPoll(ctx, exec, func(i container.ExecInspect) bool { return !i.Running || i.Pid != 0 })
	if err != nil || i.Pid == 0 {
		return false
	}
	for wait := reapDrain; alive(i.Pid); wait = min(2*wait, reapPollMost) {
		if !pause(ctx, wait) {
			return false
		}
	}
	if !pause(ctx, reapDrain) {
		return false
	}
	if err := killSession(id, i.Pid); err != nil {
		e.log.Debug("what a command left behind cannot be killed", "container", short(id), "error", err)
	}
	if !pause(ctx, reapGivesUp) {
		return false
	}
	i, err = e.inspectExec(ctx, exec) // on another machine it may run still
	if err != nil || i.Running {
		return false
	}
	e.held.note(id, time.Now())
	return true
}

// pause returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// killLeft kills a command and all that is in its session.
func (e *Engine) killLeft(ctx context.Context, id, exec string) error {
	ctx, cancel := bounded(ctx, KillTimeout)
	defer cancel()
	i, err := e.execPoll(ctx, exec, func(i container.ExecInspect) bool { return !i.Running || i.Pid != 0 })
	if IsNotFound(err) || err == nil && i.Pid == 0 {
		return nil // it never ran
	}
	if err != nil {
		return fmt.Errorf("kill the command: %w", err)
	}
	if i.Running {
		if err := owns(id, i.Pid); err != nil && alive(i.Pid) {
			return fmt.Errorf("kill the command: %w", err)
		}
	}
	return killSession(id, i.Pid)
}

// killSession kills the processes of a container that are in the session of a command: runc makes
// every command the leader of one, and its number is no other's while anybody is in it.
func killSession(id string, session int) error {
	var errs []error
	for range 3 { // one of them may just make another
		var found bool
		processes, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			return err
		}
		for _, dir := range processes {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil || sessionOf(pid) != session || owns(id, pid) != nil {
				continue
			}
			found = true
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = append(errs, fmt.Errorf("kill process %d of container %s: %w", pid, short(id), err))
			}
		}
		if !found {
			break
		}
	}
	return errors.Join(errs...)
}

// alive tells whether a process of this machine runs; one that nobody has waited for does not.
func alive(pid int) bool {
	fields := processStat(pid)
	return len(fields) > 0 && fields[0] != "Z" && fields[0] != "X"
}

// sessionOf is the session that a process is in; 0: it does not run.
func sessionOf(pid int) int {
	fields := processStat(pid)
	if len(fields) < 4 || fields[0] == "Z" {
		return 0
	}
	session, _ := strconv.Atoi(fields[3])
	return session
}

// processStat is what proc(5) has in stat after the name, which may hold anything: state, parent,
// process group, session.
func processStat(pid int) []string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	text := string(stat)
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
}
