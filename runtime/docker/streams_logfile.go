package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/daemon/logger/jsonfilelog/jsonlog"
	"github.com/fsnotify/fsnotify"
)

// logPoll is how often a followed file is looked at when the kernel tells of no change: it
// watches no more directories than fs.inotify allows. A kubelet looks as often.
const logPoll = time.Second

// fileLog reads a log from Docker's files. Docker's own reader can end before the last
// entry of a container that ends, and can repeat some at a rotation; it counts entries as
// lines.
type fileLog struct {
	path string
	opts LogOptions
	// ended blocks until the container is not running, by when its log is whole.
	ended func(context.Context) error

	files  []*logFile // the first is being read, the others follow
	reader *entryReader
	out    *entryWriter
}

// openFileLog opens the log of a container on this machine. Without an error and a log
// there are no files that can be read.
func (e *Engine) openFileLog(ctx context.Context, c container.InspectResponse, opts LogOptions) (*fileLog, error) {
	if c.HostConfig.LogConfig.Type != logDriver || c.LogPath == "" {
		return nil, nil
	}
	if _, err := os.Stat(filepath.Dir(c.LogPath)); err != nil {
		return nil, nil // the engine runs elsewhere
	}
	files, err := openLogFiles(ctx, c.LogPath)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l := &fileLog{path: c.LogPath, opts: opts, files: files, out: &entryWriter{opts: opts}}
	l.ended = func(ctx context.Context) error {
		_, err := e.Wait(ctx, c.ID)
		if IsNotFound(err) {
			return nil
		}
		return err
	}
	if err := l.begin(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// begin finds where the reading begins.
func (l *fileLog) begin() error {
	first := logPlace{}
	if l.opts.Tail != nil {
		starts, err := findTail(l.files, *l.opts.Tail, l.opts.wants)
		if err != nil {
			return err
		}
		first = starts[streamOut]
		if starts[streamErr].before(first) {
			first = starts[streamErr]
		}
		l.out.starts = starts
	}
	l.out.file = first.file
	closeLogFiles(l.files[:first.file])
	l.files = l.files[first.file:]
	return l.read(first.offset)
}

// read goes on with the first of the files.
func (l *fileLog) read(offset int64) error {
	if err := l.files[0].unpack(); err != nil {
		return err
	}
	l.reader = newEntryReader(l.files[0].content, offset)
	return nil
}

// Close implements LogStream.
func (l *fileLog) Close() error {
	closeLogFiles(l.files)
	return nil
}

// Copy implements LogStream.
func (l *fileLog) Copy(ctx context.Context, stdout, stderr io.Writer) error {
	l.out.stdout, l.out.stderr = orDiscard(stdout), orDiscard(stderr)
	if !l.opts.Follow {
		return l.copyFiles(ctx)
	}
	// Without a watcher its channels are nil, and the poll does.
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		watcher = &fsnotify.Watcher{}
	} else {
		defer watcher.Close()
		_ = watcher.Add(filepath.Dir(l.path))
	}
	waiting, cancel := context.WithCancel(ctx)
	ended, waited := make(chan error, 1), make(chan struct{})
	go func() { defer close(waited); ended <- l.ended(waiting) }()
	err = l.follow(ctx, watcher, ended)
	cancel()
	<-waited
	return err
}

// follow copies until the container has ended and all is read.
func (l *fileLog) follow(ctx context.Context, watcher *fsnotify.Watcher, ended <-chan error) error {
	for last := false; ; {
		if err := l.addRotated(ctx); err != nil {
			return err
		}
		if err := l.copyFiles(ctx); err != nil || last {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			if err != nil {
				return err
			}
			last = true
		case <-watcher.Events:
		case <-watcher.Errors: // events were lost
		case <-time.After(logPoll):
		}
	}
}

// copyFiles copies what there is.
func (l *fileLog) copyFiles(ctx context.Context) error {
	var e jsonlog.JSONLog
	for {
		offset, err := l.reader.next(&e)
		switch {
		case err == nil:
			if err := l.out.write(&e, offset); err != nil {
				return err
			}
		case !errors.Is(err, io.EOF):
			return fmt.Errorf("read %s: %w", l.path, err)
		case len(l.files) == 1:
			return nil
		default:
			l.files[0].Close()
			l.files = l.files[1:]
			l.out.file++
			if err := l.read(0); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// addRotated adds the files that were begun after the one that is read. Docker closes a
// file before it begins the next: it is whole by then, though perhaps not read.
func (l *fileLog) addRotated(ctx context.Context) error {
	current := l.files[len(l.files)-1]
	switch still, err := current.isAt(l.path); {
	case err != nil: // it is being rotated, or was removed with its container
		return nil
	case still:
		return l.rewind(current)
	}
	files, err := openLogFiles(ctx, l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := len(files) - 1; i >= 0; i-- {
		if files[i].sameLog(current) {
			closeLogFiles(files[:i+1])
			files = files[i+1:]
			break
		}
	}
	l.files = append(l.files, files...)
	return nil
}

// rewind begins again in a file that somebody truncated.
func (l *fileLog) rewind(current *logFile) error {
	info, err := current.Stat()
	if err == nil && len(l.files) == 1 && info.Size() < l.reader.offset {
		l.reader.seek(0)
		l.out.starts = nil
	}
	return err
}
