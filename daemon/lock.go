package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Info describes a running daemon. It is the text of its lock file.
type Info struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	PID         int       `json:"pid"`
	Started     time.Time `json:"started"`
	Node        string    `json:"node"`      // the Node object's name
	APIServer   string    `json:"apiServer"` // https://127.0.0.1:6443; empty until it serves
	DataDir     string    `json:"dataDir"`
	PodCIDR     string    `json:"podCIDR"`
	ServiceCIDR string    `json:"serviceCIDR"`
	Docker      string    `json:"dockerVersion"`
	DockerHost  string    `json:"dockerHost"` // such as unix:///var/run/docker.sock
	DNS         string    `json:"dns"`        // such as 10.244.0.1:53; empty until it answers
	Ready       bool      `json:"ready"`      // a pod could run
	Stopping    bool      `json:"stopping,omitempty"`
}

// ErrRunning says that another daemon holds the data directory.
var ErrRunning = errors.New("already running")

// lock is the data directory's: whoever holds it may write there. The kernel
// takes it back when its holder dies, however it dies.
type lock struct{ file *os.File }

// acquire takes the lock of the data directory, making the directory when it
// is missing. The error matches ErrRunning when another process holds it.
func acquire(cfg Config) (*lock, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	file, err := os.OpenFile(cfg.path(lockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		info, _ := readInfo(file)
		_ = file.Close()
		return nil, fmt.Errorf("%w: the data directory %s is in use by pid %d: stop that one first, or choose another with --name or --data-dir",
			ErrRunning, cfg.DataDir, info.PID)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return &lock{file}, nil
}

// describe replaces the text of the lock file.
func (l *lock) describe(info Info) error {
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", l.file.Name(), err)
	}
	if _, err := l.file.WriteAt(append(text, '\n'), 0); err != nil {
		return fmt.Errorf("write %s: %w", l.file.Name(), err)
	}
	return nil
}

// release gives the lock back. The file stays: removing it would let two
// processes hold a lock of the same name.
func (l *lock) release() {
	_ = l.file.Truncate(0)
	_ = l.file.Close()
}

// Lookup tells whether a daemon holds the data directory, and describes it.
func Lookup(cfg Config) (info Info, running bool, err error) {
	file, err := os.Open(cfg.path(lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, false, nil
	}
	if err != nil {
		return Info{}, false, fmt.Errorf("data directory: %w", err)
	}
	defer file.Close()
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return Info{}, false, nil // nobody holds it; closing gives it back
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return Info{}, false, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	info, err = readInfo(file)
	return info, true, err
}

func readInfo(file *os.File) (Info, error) {
	text, err := os.ReadFile(file.Name())
	if err != nil {
		return Info{}, fmt.Errorf("read %s: %w", file.Name(), err)
	}
	var info Info
	if len(text) == 0 { // its holder has only just started
		return info, nil
	}
	if err := json.Unmarshal(text, &info); err != nil {
		return info, fmt.Errorf("read %s: %w", file.Name(), err)
	}
	return info, nil
}

// lockInterval is how often a process looks whether another one has given a lock of the machine back, which takes milliseconds.
const lockInterval = 5 * time.Millisecond

// waitForLock waits until no other process holds the lock of the machine that this file is. Closing the file gives it back. The
// error names the file, and when ctx ends what holder does with it.
func waitForLock(ctx context.Context, path, holder string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("%s, and holds the lock of %s: %w", holder, path, ctx.Err())
		case <-time.After(lockInterval):
		}
	}
}
