package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is what a process has used, user and system.
type cpuTime struct {
	own      time.Duration
	children time.Duration // those that have ended and were waited for
}

// rssAnon is the private memory of a process in bytes.
func rssAnon(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseRssAnon(string(text))
}

// parseRssAnon reads proc_pid_status(5).
func parseRssAnon(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no RssAnon in the status of a process")
}

// cpuTimes reads a process' own time from its clock: in thirty seconds a tick of the stat is 0.03 % of a core, as much as some
// figures are about.
func cpuTimes(pid int) (cpuTime, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return cpuTime{}, err
	}
	times, err := parseCPUTimes(string(text))
	if err != nil {
		return cpuTime{}, err
	}
	var clock unix.Timespec
	if err := unix.ClockGettime(cpuClock(pid), &clock); err != nil {
		return cpuTime{}, fmt.Errorf("read the clock of process %d: %w", pid, err)
	}
	times.own = time.Duration(clock.Nano())
	return times, nil
}

// cpuClock is clock_getcpuclockid(3).
func cpuClock(pid int) int32 {
	const cpuclockSched = 2 // of the kernel's posix-timers.h: what the scheduler counted, of all threads
	return int32(^pid<<3 | cpuclockSched)
}

// daemonTime is how long do takes, and what processor time the daemon itself uses meanwhile.
func (i *instance) daemonTime(do func() error) (took, used time.Duration, err error) {
	before, err := cpuTimes(i.status.PID)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	after, err := cpuTimes(i.status.PID)
	return took, after.own - before.own, err
}

// parseCPUTimes reads proc_pid_stat(5): after the name in parentheses, which may hold spaces, comes field 3.
func parseCPUTimes(stat string) (cpuTime, error) {
	const firstAfterName, utime = 3, 14 // utime, stime, cutime, cstime follow each other
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < utime-firstAfterName+4 {
		return cpuTime{}, fmt.Errorf("the stat of a process has %d fields: %q", len(fields), stat)
	}
	var ticks [4]int64
	for n := range ticks {
		var err error
		if ticks[n], err = strconv.ParseInt(fields[utime-firstAfterName+n], 10, 64); err != nil {
			return cpuTime{}, err
		}
	}
	return cpuTime{own: time.Duration(ticks[0]+ticks[1]) * clockTick, children: time.Duration(ticks[2]+ticks[3]) * clockTick}, nil
}
