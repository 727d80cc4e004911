package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/kube-lite/kube-lite/daemon"
)

const (
	// startLimit is how long `start` waits for a daemon to become ready.
	startLimit = 60 * time.Second
	// logTail is how many bytes of the log a failed start shows.
	logTail = 4 << 10
	// logRotate is the size at which the log of earlier starts is put aside.
	logRotate = 16 << 20
	// pollInterval is how often a start looks at a daemon that another start
	// has begun.
	pollInterval = 50 * time.Millisecond
)

func startCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "start",
		Usage: "start the daemon in the background and wait until it is ready",
		Flags: daemonFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			cfg, err := daemonConfig(c)
			if err != nil {
				return err
			}
			args, err := flagsSet(c)
			if err != nil {
				return err
			}
			return start(e.ctx, cfg, args, e.stdout)
		},
	}
}

// flagsSet repeats the daemon's flags as the user gave them, with absolute paths of files: the daemon runs in another
// directory.
func flagsSet(c *cli.Context) (args []string, err error) {
	for _, f := range daemonFlags() {
		name := f.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		values, isFile := []string{fmt.Sprint(c.Value(name))}, false
		switch f := f.(type) {
		case *cli.StringFlag:
			isFile = f.TakesFile
		case *cli.StringSliceFlag:
			values, isFile = c.StringSlice(name), f.TakesFile
		}
		for _, v := range values {
			if isFile && v != "" && v != "-" { // as --audit-log may be
				if v, err = filepath.Abs(v); err != nil {
					return nil, fmt.Errorf("--%s: %w", name, err)
				}
			}
			args = append(args, "--"+name+"="+v)
		}
	}
	return args, nil
}

// start runs `serve` in the background with the given flags, tells w each step
// and returns when the node is ready.
func start(ctx context.Context, cfg daemon.Config, flags []string, w io.Writer) error {
	if err := daemon.CheckRoot(); err != nil {
		return err
	}
	if err := awaitStop(ctx, cfg, w); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if info, running, err := daemon.Lookup(cfg); err != nil {
		return err
	} else if running {
		if info.Name != "" && info.Name != cfg.Name {
			return fmt.Errorf("the data directory %s is in use by the instance %q (pid %d): choose another with --data-dir", cfg.DataDir, info.Name, info.PID)
		}
		if err := daemon.CheckSettled(cfg); err != nil {
			return err
		}
		if err := awaitOther(ctx, cfg, info, w); err != nil {
			return err
		}
		return checkNodes(ctx, cfg)
	}
	began := time.Now()
	made, err := makeDir(cfg.DataDir)
	if err != nil {
		return err
	}
	err = startServe(ctx, cfg, flags, w)
	if err != nil {
		if made {
			_ = os.Remove(cfg.LogPath())
			_ = daemon.RemoveEmpty(cfg)
		}
		return err
	}
	fmt.Fprintf(w, "kube-lite is ready in %.1f s: try \"kube-lite%s get nodes\"\n", time.Since(began).Seconds(), nameArgument(cfg))
	return nil
}

// makeDir reports whether the directory was not there before.
func makeDir(dir string) (made bool, err error) {
	if _, err := os.Stat(dir); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, fmt.Errorf("data directory: %w", err)
	}
	return true, nil
}

func startServe(ctx context.Context, cfg daemon.Config, flags []string, w io.Writer) error {
	log, err := openLog(cfg.LogPath())
	if err != nil {
		return err
	}
	defer log.Close()
	began, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	progress, child, err := os.Pipe()
	if err != nil {
		return err
	}
	defer progress.Close()
	cmd, err := serveProcess(cfg, flags, log, child)
	if err != nil {
		return err
	}
	err = cmd.Start()
	_ = child.Close()
	if err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	err = follow(progress, w)
	stop()
	if err == nil {
		return cmd.Process.Release()
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("not ready after %s: %w", startLimit, err)
	}
	_ = cmd.Wait() // it says what is wrong and ends, or was told to
	return withTail(err, log, began)
}

// serveProcess is this program again, detached from the terminal.
func serveProcess(cfg daemon.Config, flags []string, log, progress *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{"--name=" + cfg.Name, "--data-dir=" + cfg.DataDir, "serve"}, flags...)
	cmd := exec.Command(self, args...)
	cmd.Dir = "/" // a daemon keeps no file system from being unmounted
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{progress}
	cmd.Env = append(os.Environ(), progressEnv+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// follow prints the steps until the last one, and returns an error that the
// daemon reports.
func follow(progress io.Reader, w io.Writer) error {
	decoder := json.NewDecoder(progress)
	for {
		var m message
		if err := decoder.Decode(&m); err != nil {
			return errors.New("the daemon ended while it started")
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
		fmt.Fprintf(w, "%6d ms  %-31s  %s\n", m.Took.Milliseconds(), m.Name, m.Detail)
		if m.Ready {
			return nil
		}
	}
}

// awaitStop waits for a daemon that is stopping.
func awaitStop(ctx context.Context, cfg daemon.Config, w io.Writer) error {
	info, running, err := daemon.Lookup(cfg)
	if err != nil || !running || !info.Stopping {
		return err
	}
	fmt.Fprintf(w, "kube-lite is stopping (pid %d): waiting for it\n", info.PID)
	waiter := env{ctx: ctx, stderr: w}
	done := waiter.waiting(untilStopped(cfg))
	defer done()
	return daemon.AwaitStopped(ctx, cfg)
}

// awaitOther waits for a daemon that runs already or is just being started.
func awaitOther(ctx context.Context, cfg daemon.Config, info daemon.Info, w io.Writer) error {
	for running := true; !info.Ready; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("pid %d is running but not ready after %s: see %s", info.PID, startLimit, cfg.LogPath())
		case <-time.After(pollInterval):
		}
		var err error
		if info, running, err = daemon.Lookup(cfg); err != nil {
			return err
		}
		if !running {
			return fmt.Errorf("another start of this instance failed: see %s", cfg.LogPath())
		}
	}
	fmt.Fprintf(w, "kube-lite is already running (pid %d)\n", info.PID)
	return nil
}

// openLog opens the log for appending. One that has grown is put aside first.
func openLog(path string) (*os.File, error) {
	if stat, err := os.Stat(path); err == nil && stat.Size() > logRotate {
		if err := os.Rename(path, path+daemon.OldSuffix); err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
	}
	log, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return log, nil
}

// withTail adds the end of what was logged since offset, if that says more than
// the error. The file may have been removed by now; the descriptor still reads it.
func withTail(err error, log *os.File, offset int64) error {
	end, seekErr := log.Seek(0, io.SeekEnd)
	if seekErr != nil || end <= offset {
		return err
	}
	text := make([]byte, min(end-offset, logTail))
	if _, readErr := log.ReadAt(text, end-int64(len(text))); readErr != nil && !errors.Is(readErr, io.EOF) {
		return err
	}
	if int64(len(text)) < end-offset { // begin at a line
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	if tail := strings.TrimSpace(string(text)); saysMore(tail, err) {
		return fmt.Errorf("%w\nthe end of its log:\n  %s", err, strings.ReplaceAll(tail, "\n", "\n  "))
	}
	return err
}

// saysMore tells whether a log has more than the steps of a start that ended
// with err.
func saysMore(log string, err error) bool {
	for line := range strings.Lines(strings.ReplaceAll(log, err.Error(), "")) {
		if line = strings.TrimSpace(line); line != "" && line != "kube-lite:" && !strings.Contains(line, " level=INFO ") {
			return true
		}
	}
	return false
}

// nameArgument is what a user must add to name the instance.
func nameArgument(cfg daemon.Config) string {
	if cfg.Name == daemon.DefaultName {
		return ""
	}
	return " --name " + cfg.Name
}
